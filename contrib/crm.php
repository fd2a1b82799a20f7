<?php
/*
 * A sample CRM for ringhook: it answers lookups and receives events.
 *
 *     php -S 127.0.0.1:8082 crm.php
 *
 *     [[lookup]]
 *     name = "crm"
 *     points = ["queue-dial"]
 *     url = "http://127.0.0.1:8082/who?phone=%callerid%"
 *
 *     [[hook]]
 *     name = "journal"
 *     events = ["*"]
 *     url = "http://127.0.0.1:8082/cti"
 *
 * It stores events as files in the folder ringhook-events beside this file, or in the one
 * that the environment variable RINGHOOK_EVENTS names. It needs PHP 7.4 and nothing else.
 */

declare(strict_types=1);

// ringhook sends numbers in E.164, with the plus sign.
const CUSTOMERS = [
    '+79261110002' => [
        'CALLERID(name)' => 'Жан-Поль Œuvré',
        'QUEUE_PRIO' => 5,
        'call_info' => 'https://crm.example/customers/18?tab=calls&open=1',
    ],
];

$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);

// A lookup: name=value&name=value, or 404 if the number is unknown.
if ($_SERVER['REQUEST_METHOD'] === 'GET' && $path === '/who') {
    $customer = CUSTOMERS[$_GET['phone'] ?? ''] ?? null;
    if ($customer === null) {
        http_response_code(404);
        return;
    }
    header('Content-Type: application/x-www-form-urlencoded; charset=utf-8');
    echo http_build_query($customer);
    return;
}

// One event, as JSON. Answer 2xx only when the event is stored: ringhook then does not
// send it again. After any other answer it does.
if ($_SERVER['REQUEST_METHOD'] === 'POST' && $path === '/cti') {
    $body = file_get_contents('php://input');
    $event = json_decode($body, true);
    if (!is_string($event['event_id'] ?? null) || !is_string($event['event'] ?? null)) {
        http_response_code(400);
        return;
    }
    try {
        if (store($event['event_id'], $body)) {
            error_log($event['event'] . ' ' . json_encode($event, JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES));
        }
    } catch (RuntimeException $e) {
        error_log('crm.php: ' . $e->getMessage());
        http_response_code(500);
        return;
    }
    http_response_code(204);
    return;
}

http_response_code(404);

// store stores an event and returns true, or returns false if it is already stored: an event
// is sent again, with the same id, if the answer to it was lost. A real CRM lets a unique
// index of its database refuse the second one; here the name of a file does.
function store(string $id, string $body): bool
{
    $folder = getenv('RINGHOOK_EVENTS') ?: __DIR__ . '/ringhook-events';
    if (!is_dir($folder) && !@mkdir($folder, 0700, true) && !is_dir($folder)) {
        throw new RuntimeException("cannot create $folder: " . (error_get_last()['message'] ?? ''));
    }
    $file = $folder . '/' . hash('sha256', $id) . '.json';
    if (file_exists($file)) {
        return false;
    }
    // Written under another name first, so that no half event counts as stored.
    $new = $file . '.' . getmypid();
    if (@file_put_contents($new, $body) !== strlen($body) || !@rename($new, $file)) {
        $why = error_get_last()['message'] ?? '';
        @unlink($new);
        throw new RuntimeException("cannot write $file: $why");
    }
    return true;
}

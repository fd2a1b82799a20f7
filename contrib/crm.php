<?php
/*
 * A sample CRM for ringhook: who is calling, and what became of the call.
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
 * It needs PHP 7.4 and nothing else.
 */

declare(strict_types=1);

// What ringhook asks for is E.164, with the plus sign in front.
const CUSTOMERS = [
    '+79261110002' => [
        'CALLERID(name)' => 'Жан-Поль Œuvré',
        'QUEUE_PRIO' => 5,
        'call_info' => 'https://crm.example/customers/18?tab=calls&open=1',
    ],
];

$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);

// Who is calling? name=value&name=value, or 404 where nobody knows.
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

// One event, as JSON. Answer 2xx only when it is safe: ringhook then forgets it.
if ($_SERVER['REQUEST_METHOD'] === 'POST' && $path === '/cti') {
    $event = json_decode(file_get_contents('php://input'), true);
    if (!isset($event['event_id'], $event['event'])) {
        http_response_code(400);
        return;
    }
    if (isNew($event['event_id'])) {
        error_log($event['event'] . ' ' . json_encode($event, JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES));
    }
    http_response_code(204);
    return;
}

http_response_code(404);

// An event comes again, with the same id, when its answer was lost on the way. A real
// CRM lets its database refuse the second one; here a file is made for each.
function isNew(string $id): bool
{
    $folder = sys_get_temp_dir() . '/ringhook-events';
    @mkdir($folder, 0700);
    return @fopen($folder . '/' . hash('sha256', $id), 'x') !== false;
}

<?php
/*
 * Checks by its signature that a request comes from ringhook.
 *
 * Copy verify() into a receiver:
 *
 *     $problem = verify($secret, $_SERVER['HTTP_WEBHOOK_ID'] ?? '', $_SERVER['HTTP_WEBHOOK_TIMESTAMP'] ?? '',
 *         $_SERVER['HTTP_WEBHOOK_SIGNATURE'] ?? '', file_get_contents('php://input'), time());
 *
 * As a program it reads a request as it came over the wire, headers, an
 * empty line and the body:
 *
 *     php verify.php whsec_... < request
 *
 * It needs PHP 7.4 and nothing else.
 */

declare(strict_types=1);

const TOLERANCE = 5 * 60; // maximum difference of the clocks, in seconds

/**
 * Returns the reason to refuse a request, null if it is valid. The body is the
 * bytes as they came: JSON that was parsed and written again has another signature.
 */
function verify(string $secret, string $id, string $timestamp, string $signatures, string $body, int $now): ?string
{
    if ($id === '' || !preg_match('/^[0-9]{1,12}\z/', $timestamp)) {
        return 'no webhook-id or webhook-timestamp';
    }
    if (abs($now - (int) $timestamp) > TOLERANCE) {
        return 'too old, or from the future';
    }
    $key = base64_decode(preg_replace('/^whsec_/', '', $secret), true);
    if ($key === false) {
        return 'the secret is not base64';
    }
    $want = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$timestamp.$body", $key, true));
    // During a change of the secret there are two signatures: one must match.
    foreach (explode(' ', $signatures) as $got) {
        if (hash_equals($want, $got)) {
            return null;
        }
    }
    return 'no signature matches';
}

if (PHP_SAPI === 'cli' && realpath($argv[0]) === __FILE__) {
    if ($argc < 2 || $argc > 3) {
        fwrite(STDERR, "usage: verify.php SECRET [UNIX-TIME] < request\n");
        exit(2);
    }
    [$head, $body] = preg_split('/\r?\n\r?\n/', stream_get_contents(STDIN), 2) + ['', ''];
    $headers = [];
    foreach (preg_split('/\r?\n/', $head) as $line) {
        [$name, $value] = explode(':', $line, 2) + ['', ''];
        $headers[strtolower(trim($name))] = trim($value);
    }
    $problem = verify(
        $argv[1],
        $headers['webhook-id'] ?? '',
        $headers['webhook-timestamp'] ?? '',
        $headers['webhook-signature'] ?? '',
        $body,
        (int) ($argv[2] ?? time())
    );
    echo $problem ?? 'good', "\n";
    exit($problem === null ? 0 : 1);
}

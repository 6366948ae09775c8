<?php
// Answers questions on stdin, one JSON object a line, about what PHP does with sessions. See tests/support/php_process.py.

class Memory implements SessionHandlerInterface
{
    public string $stored = '';
    public bool $destroyed = false;

    public function open(string $path, string $name): bool { return true; }
    public function close(): bool { return true; }
    public function read(string $id): string { return $this->stored; }
    public function write(string $id, string $data): bool { $this->stored = $data; return true; }
    public function destroy(string $id): bool { $this->destroyed = true; return true; }
    public function gc(int $max_lifetime): int { return 0; }
}

class Point
{
    public $x = 1;
    protected $y = 2;
    private $z = 3;
    public $other;
}

enum Suit: string
{
    case Hearts = 'H';
    case Spades = 'S';
}

foreach (['use_cookies' => 0, 'use_only_cookies' => 0, 'cache_limiter' => '', 'use_strict_mode' => 0,
          'lazy_write' => 0] as $name => $value) {
    ini_set("session.$name", (string) $value);
}
ini_set('serialize_precision', '-1');
$memory = new Memory();
session_set_save_handler($memory, false);

function float_of(string $hex): float
{
    if (!preg_match('/^(-?)0x([01])\.?([0-9a-f]*)p([+-]\d+)$/', $hex, $m)) {
        return ['nan' => NAN, 'inf' => INF, '-inf' => -INF][$hex];
    }
    $exponent = (int) $m[4];
    $fraction = $m[3] === '' ? 0 : hexdec(str_pad($m[3], 13, '0'));
    $bits = (($m[1] === '-' ? 1 : 0) << 63) | (($m[2] === '1' ? $exponent + 1023 : 0) << 52) | (int) $fraction;
    return unpack('d', pack('q', $bits))[1];
}

function start(Memory $memory, string $format, string $stored): void
{
    $memory->stored = $stored;
    $memory->destroyed = false;
    ini_set('session.serialize_handler', $format);
    session_id(str_repeat('a', 32));
    session_start();
}

function answer(Memory $memory, array $question): array
{
    if (isset($question['floats'])) {
        return ['floats' => array_map(fn($hex) => substr(serialize(float_of($hex)), 2, -1), $question['floats'])];
    }
    if (isset($question['code'])) {
        return ['result' => eval($question['code'])];
    }
    $failed = false;
    $value = null;
    try {
        start($memory, $question['format'], base64_decode($question['data'] ?? ''));
        if (isset($question['session'])) {
            $_SESSION = json_decode($question['session'], true);
        }
        $encoded = json_encode($_SESSION, JSON_PRESERVE_ZERO_FRACTION);
        $value = $encoded === false ? null : $encoded;
    } catch (Throwable $error) {
        $failed = true;
    }
    $destroyed = $memory->destroyed;
    try {
        session_status() === PHP_SESSION_ACTIVE && session_write_close();
    } catch (Throwable $error) {
        $failed = true;
        session_abort();
    }
    return ['destroyed' => $destroyed || $failed, 'reencoded' => base64_encode($memory->stored), 'value' => $value];
}

while (($line = fgets(STDIN)) !== false) {
    $json = json_encode(answer($memory, json_decode($line, true)), JSON_PRESERVE_ZERO_FRACTION | JSON_THROW_ON_ERROR);
    fwrite(STDOUT, $json . "\n");
}

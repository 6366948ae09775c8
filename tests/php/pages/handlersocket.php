<?php
// The lines of Phalcon's adapter HandlerSocket, as recorded from it: index 1 is the primary key, and one connection for
// writing does everything. It has no lock, and chooses between insert and update by what it has read.
$socket = stream_socket_client('tcp://' . get_cfg_var('test.handlersocket'));
$escape = fn(string $text) => preg_replace_callback('/[\0-\x0f]/', fn($found) => "\1" . chr(ord($found[0]) + 0x40), $text);
$ask = function (string ...$tokens) use ($socket, $escape): array {
    fwrite($socket, implode("\t", array_map($escape, $tokens)) . "\n");
    $answer = explode("\t", rtrim(fgets($socket), "\n"));
    if ($answer[0] !== '0') throw new Exception(implode(' ', $answer));
    $unescape = fn($found) => chr(ord($found[0][1]) - 0x40);
    return array_map(fn($token) => preg_replace_callback('/\x01[\x40-\x4f]/', $unescape, $token), array_slice($answer, 2));
};
$ask('A', '1', get_cfg_var('test.secret'));
$ask('P', '1', get_cfg_var('test.database'), 'php_session', 'PRIMARY', 'id,modified,data');
$found = false;
session_set_save_handler(
    fn() => true,
    fn() => true,
    function ($id) use ($ask, &$found) {
        $row = $ask('1', '=', '1', $id, '1', '0');
        $found = isset($row[2]) && $row[2] !== "\0";
        return $found ? $row[2] : '';
    },
    function ($id, $data) use ($ask, &$found) {
        $now = date('Y-m-d H:i:s');
        if ($found) $ask('1', '=', '1', $id, '1', '0', 'U', $id, $now, $data);
        else $ask('1', '+', '3', $id, $now, $data);
        return true;
    },
    fn($id) => (bool) $ask('1', '=', '1', $id, '1', '0', 'D'),
    fn($lifetime) => 0,
);
require 'session.php';

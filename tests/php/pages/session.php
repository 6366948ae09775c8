<?php
// What an application does to its session: count, change what else is in it, sign out, take a new id.
session_start();
$before = $_SESSION['token'] ?? null;
$action = $_GET['do'] ?? 'read';
if ($action === 'count') {
    $_SESSION['count'] = ($_SESSION['count'] ?? 0) + 1;
    $_SESSION['text'] = str_repeat('é', random_int(0, 300));
    if (isset($_GET['token'])) $_SESSION['token'] = $_GET['token'];
    $_SESSION['php'][$_GET['by'] ?? 'php'] = ($_SESSION['php'][$_GET['by'] ?? 'php'] ?? 0) + 1;
} elseif ($action === 'set') {
    $_SESSION[$_GET['key']] = $_GET['value'];
} elseif ($action === 'attribute') { // as Symfony keeps them
    $_SESSION['_sf2_attributes'][$_GET['key']] = $_GET['value'];
} elseif ($action === 'destroy') {
    session_destroy();
} elseif ($action === 'regenerate') {
    session_regenerate_id(true);
} elseif ($action === 'clear') {
    $_SESSION = [];
} elseif ($action === 'slow') {
    touch($_GET['flag']);
    usleep((int) $_GET['ms'] * 1000);
    $_SESSION['slow'] = true;
} elseif ($action === 'sleep') {
    touch($_GET['flag']);
    usleep((int) $_GET['ms'] * 1000);
}
$id = session_id();
session_write_close(); // ahead of the answer: the client has one only if the session is stored
echo json_encode(['id' => $id, 'before' => $before, 'session' => $_SESSION]);

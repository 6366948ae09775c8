<?php
// The PHP side: counts, signs in and signs out, in the session that the Python side uses.
session_start();
if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    switch ($_POST['do'] ?? '') {
        case 'count':
            $_SESSION['count'] = ($_SESSION['count'] ?? 0) + 1;
            break;
        case 'in':
            session_regenerate_id(true);
            $_SESSION['user'] = 'Ada';
            break;
        case 'out':
            $_SESSION = [];
            session_destroy();
            break;
    }
    header('Location: /', true, 303);
    exit;
}
?>
<!doctype html><meta charset="utf-8"><title>PHP</title><link rel="icon" href="data:,">
<style>body { font: 1rem sans-serif; max-width: 40rem; margin: 2rem auto }</style>
<h1>PHP</h1>
<p><?= htmlspecialchars($_SESSION['user'] ?? 'Nobody') ?>, the count is <strong id="count"><?= (int) ($_SESSION['count'] ?? 0) ?></strong>.
<form method="post"><button name="do" value="count">Count</button>
<button name="do" value="in">Sign in as Ada</button> <button name="do" value="out">Sign out</button></form>
<p><a href="<?= htmlspecialchars(getenv('PYTHON_URL')) ?>">The same session in Python</a>
<pre><?= htmlspecialchars(json_encode($_SESSION, JSON_PRETTY_PRINT)) ?></pre>

<?php
// The statements of Phalcon's adapter Database, as recorded from it: no lock, and every page writes the whole session.
$db = new PDO(get_cfg_var('test.dsn'), 'php', 'php', [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
$max = (int) ini_get('session.gc_maxlifetime');
$run = function (string $sql, array $values) use ($db): PDOStatement {
    $statement = $db->prepare($sql);
    $statement->execute($values);
    return $statement;
};
session_set_save_handler(
    fn() => true,
    fn() => true,
    fn($id) => (string) $run("SELECT `data` FROM `session_data` WHERE `session_id` = ?
        AND COALESCE(`modified_at`, `created_at`) + $max >= ?", [$id, time()])->fetchColumn(),
    function ($id, $data) use ($run) {
        if ($run('SELECT COUNT(*) FROM `session_data` WHERE `session_id` = ?', [$id])->fetchColumn()) {
            $run('UPDATE `session_data` SET `data` = ?, `modified_at` = ? WHERE `session_id` = ?', [$data, time(), $id]);
        } else {
            $run('INSERT INTO `session_data` (`session_id`, `data`, `created_at`, `modified_at`)
                VALUES (?, ?, ?, NULL)', [$id, $data, time()]);
        }
        return true;
    },
    fn($id) => (bool) $run('DELETE FROM `session_data` WHERE `session_id` = ?', [$id]),
    fn($lifetime) => 0,
);
require 'session.php';

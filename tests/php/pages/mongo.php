<?php
// What Phalcon's adapter Mongo does, as recorded from it: it reads a document by its _id whatever its age, and replaces
// it whole, unless the data are those that it read.
$manager = new MongoDB\Driver\Manager(get_cfg_var('test.mongo'));
$name = 'php_shared.session_data';
$read = '';
$write = function (callable $add) use ($manager, $name): bool {
    $bulk = new MongoDB\Driver\BulkWrite();
    $add($bulk);
    $manager->executeBulkWrite($name, $bulk);
    return true;
};
session_set_save_handler(
    fn() => true,
    fn() => true,
    function ($id) use ($manager, $name, &$read) {
        $found = $manager->executeQuery($name, new MongoDB\Driver\Query(['_id' => $id]))->toArray();
        return $read = $found ? $found[0]->data : '';
    },
    function ($id, $data) use ($write, &$read) {
        if ($data === $read) return true;
        $document = ['_id' => $id, 'modified' => new MongoDB\BSON\UTCDateTime(), 'data' => $data];
        return $write(fn($bulk) => $bulk->update(['_id' => $id], $document, ['upsert' => true]));
    },
    fn($id) => $write(fn($bulk) => $bulk->delete(['_id' => $id])),
    fn($lifetime) => 0,
);
require 'session.php';

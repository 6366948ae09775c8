-- The owner of a session: a digest of the user who has signed in, by which all of a user's sessions are found.
--
-- The column may be NULL and has no other default, so rows that are there and those of a PHP writer have no owner. Each
-- table is changed by one statement, and only if it has no column `owner` yet. InnoDB adds the column without
-- rewriting the rows, and builds the index while others read and write. As in 0002 the mode is set aside for rows with
-- '0000-00-00 00:00:00'.

SET @starlette_sessions_mode = @@SESSION.sql_mode;

SET SESSION sql_mode = 'STRICT_ALL_TABLES';

SET @starlette_sessions_statement = (
    SELECT IF(
        COUNT(*) = 0,
        'ALTER TABLE session_data
            ADD COLUMN owner CHAR(32) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
            ADD KEY session_data_owner (owner)',
        'DO 0'
    )
    FROM information_schema.COLUMNS
    WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'session_data' AND COLUMN_NAME = 'owner'
);

PREPARE starlette_sessions_upgrade FROM @starlette_sessions_statement;

EXECUTE starlette_sessions_upgrade;

SET @starlette_sessions_statement = (
    SELECT IF(
        COUNT(*) = 0,
        'ALTER TABLE php_session
            ADD COLUMN owner CHAR(32) CHARACTER SET ascii COLLATE ascii_bin DEFAULT NULL,
            ADD KEY php_session_owner (owner, id)',
        'DO 0'
    )
    FROM information_schema.COLUMNS
    WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'php_session' AND COLUMN_NAME = 'owner'
);

PREPARE starlette_sessions_upgrade FROM @starlette_sessions_statement;

EXECUTE starlette_sessions_upgrade;

DEALLOCATE PREPARE starlette_sessions_upgrade;

SET SESSION sql_mode = @starlette_sessions_mode;

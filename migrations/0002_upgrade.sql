-- Upgrade the tables that the PHP adapters' README prints, in place: their rows stay, and a PHP writer goes on working.
--
-- Each table is changed by one statement, so it is changed as a whole or not at all, and only if it has no `version`
-- yet. MySQL knows no ADD COLUMN IF NOT EXISTS, so the statement is chosen by asking the schema. `modified` loses its
-- default: '0000-00-00 00:00:00' is an error under NO_ZERO_DATE. Rows with that very date must survive nevertheless,
-- so the mode is set aside for that; it stays strict, for an id that doesn't fit must stop the upgrade.

SET @starlette_sessions_mode = @@SESSION.sql_mode;

SET SESSION sql_mode = 'STRICT_ALL_TABLES';

SET @starlette_sessions_statement = (
    SELECT IF(
        COUNT(*) = 0,
        'ALTER TABLE session_data
            MODIFY session_id VARCHAR(35) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
            ADD COLUMN version BIGINT UNSIGNED NOT NULL DEFAULT 0,
            ADD KEY session_data_expiry (modified_at, created_at)',
        'DO 0'
    )
    FROM information_schema.COLUMNS
    WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'session_data' AND COLUMN_NAME = 'version'
);

PREPARE starlette_sessions_upgrade FROM @starlette_sessions_statement;

EXECUTE starlette_sessions_upgrade;

SET @starlette_sessions_statement = (
    SELECT IF(
        COUNT(*) = 0,
        'ALTER TABLE php_session
            MODIFY id VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
            MODIFY modified DATETIME NOT NULL,
            ADD COLUMN version BIGINT UNSIGNED NOT NULL DEFAULT 0',
        'DO 0'
    )
    FROM information_schema.COLUMNS
    WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'php_session' AND COLUMN_NAME = 'version'
);

PREPARE starlette_sessions_upgrade FROM @starlette_sessions_statement;

EXECUTE starlette_sessions_upgrade;

DEALLOCATE PREPARE starlette_sessions_upgrade;

SET SESSION sql_mode = @starlette_sessions_mode;

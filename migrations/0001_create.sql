-- The two session tables, for a database that has neither. A table that is there already is left as it is:
-- 0002 upgrades the tables of the PHP adapters.
--
-- Ids are ASCII and compared byte by byte: under a collation such as utf8mb4_general_ci `abc`, `ABC` and `abc ` are
-- one key. `version` is what a writer compares before it writes. The second index is for collecting what has expired.

CREATE TABLE IF NOT EXISTS session_data (
    session_id VARCHAR(35) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    data MEDIUMTEXT NOT NULL,
    created_at BIGINT UNSIGNED NOT NULL,
    modified_at BIGINT UNSIGNED DEFAULT NULL,
    version BIGINT UNSIGNED NOT NULL DEFAULT 0,
    PRIMARY KEY (session_id),
    KEY session_data_expiry (modified_at, created_at)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4;

CREATE TABLE IF NOT EXISTS php_session (
    id VARCHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    modified DATETIME NOT NULL,
    data MEDIUMTEXT,
    version BIGINT UNSIGNED NOT NULL DEFAULT 0,
    PRIMARY KEY (id),
    KEY modified (modified)
) ENGINE=InnoDB DEFAULT CHARACTER SET utf8mb4;

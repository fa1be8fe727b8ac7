-- The schema of revision 0001 as released: never to be changed.
PRAGMA auto_vacuum=INCREMENTAL;
PRAGMA journal_mode=WAL;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL,
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
CREATE TABLE scrape (
	id INTEGER NOT NULL,
	ts_ms BIGINT NOT NULL,
	boot_id INTEGER NOT NULL,
	late_ms INTEGER NOT NULL,
	missed INTEGER NOT NULL,
	suspended_ms BIGINT NOT NULL,
	clock_step_ms BIGINT NOT NULL,
	duration_us INTEGER NOT NULL,
	notes TEXT NOT NULL,
	PRIMARY KEY (id)
);
CREATE TABLE boot (
	id INTEGER NOT NULL,
	boot_id TEXT NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (boot_id)
);
CREATE TABLE target (
	id INTEGER NOT NULL,
	kind TEXT NOT NULL,
	"key" TEXT NOT NULL,
	first_ms BIGINT NOT NULL,
	last_ms BIGINT,
	PRIMARY KEY (id),
	UNIQUE (kind, "key")
);
CREATE TABLE process (
	target_id INTEGER NOT NULL,
	boot_id TEXT NOT NULL,
	pid INTEGER NOT NULL,
	start_ticks BIGINT NOT NULL,
	name TEXT NOT NULL,
	command TEXT NOT NULL,
	uid INTEGER,
	service_kind TEXT,
	service_name TEXT,
	PRIMARY KEY (target_id)
);
CREATE TABLE series (
	id INTEGER NOT NULL,
	metric TEXT NOT NULL,
	target_id INTEGER NOT NULL,
	PRIMARY KEY (id),
	UNIQUE (target_id, metric)
);
CREATE TABLE sample (
	scrape_id INTEGER NOT NULL,
	series_id INTEGER NOT NULL,
	value BIGINT NOT NULL,
	PRIMARY KEY (scrape_id, series_id)
)
 WITHOUT ROWID
;
CREATE TABLE block (
	span_s INTEGER NOT NULL,
	start_ms BIGINT NOT NULL,
	series_id INTEGER NOT NULL,
	n INTEGER NOT NULL,
	minimum FLOAT NOT NULL,
	median FLOAT NOT NULL,
	maximum FLOAT NOT NULL,
	last FLOAT NOT NULL,
	segment_ms BIGINT NOT NULL,
	PRIMARY KEY (span_s, start_ms, series_id)
)
 WITHOUT ROWID
;
CREATE TABLE finding (
	id TEXT NOT NULL,
	kind TEXT NOT NULL,
	verdict TEXT NOT NULL,
	evaluated_ms BIGINT NOT NULL,
	payload TEXT NOT NULL,
	announced_ms BIGINT,
	ended_ms BIGINT,
	PRIMARY KEY (id)
);
CREATE TABLE suspicion (
	series_id INTEGER NOT NULL,
	payload TEXT NOT NULL,
	PRIMARY KEY (series_id)
);
CREATE TABLE state (
	"key" TEXT NOT NULL,
	value TEXT NOT NULL,
	PRIMARY KEY ("key")
);
INSERT INTO alembic_version VALUES ('0001');

PRAGMA application_id = 1213023320;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
CREATE TABLE sources (
	source_id TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	name TEXT NOT NULL, 
	state TEXT NOT NULL, 
	last_sync_at TEXT, 
	last_error TEXT, 
	extra TEXT NOT NULL, 
	created_at TEXT NOT NULL, modified_at TEXT DEFAULT '1970-01-01T00:00:00.000000Z' NOT NULL, version INTEGER DEFAULT '1' NOT NULL, 
	CONSTRAINT pk_sources PRIMARY KEY (source_id), 
	CONSTRAINT ck_sources_ck_sources_kind CHECK (kind IN ('home_assistant', 'mqtt', 'zigbee2mqtt', 'file', 'manual')), 
	CONSTRAINT ck_sources_ck_sources_state CHECK (state IN ('never', 'ok', 'error'))
)
 STRICT

;
CREATE TABLE areas (
	source_id TEXT NOT NULL, 
	area_id TEXT NOT NULL, 
	name TEXT NOT NULL, 
	floor_id TEXT, 
	aliases TEXT NOT NULL, 
	labels TEXT NOT NULL, 
	extra TEXT NOT NULL, 
	first_listed_at TEXT NOT NULL, 
	last_listed_at TEXT, 
	removed_at TEXT, 
	created_at TEXT NOT NULL, 
	modified_at TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	CONSTRAINT pk_areas PRIMARY KEY (source_id, area_id), 
	CONSTRAINT fk_areas_source_id FOREIGN KEY(source_id) REFERENCES sources (source_id)
)
 STRICT

;
CREATE TABLE sync_runs (
	run_id TEXT NOT NULL, 
	source_id TEXT NOT NULL, 
	started_at TEXT NOT NULL, 
	finished_at TEXT NOT NULL, 
	counts TEXT NOT NULL, 
	outcome TEXT NOT NULL, 
	guard TEXT, 
	CONSTRAINT pk_sync_runs PRIMARY KEY (run_id), 
	CONSTRAINT fk_sync_runs_source_id FOREIGN KEY(source_id) REFERENCES sources (source_id)
)
 STRICT

;
CREATE TABLE devices (
	number INTEGER NOT NULL, 
	device_id TEXT NOT NULL, 
	source_id TEXT NOT NULL, 
	name TEXT, 
	name_by_user TEXT, 
	manufacturer TEXT, 
	model TEXT, 
	model_id TEXT, 
	area_id TEXT, 
	integration TEXT, 
	sw_version TEXT, 
	hw_version TEXT, 
	serial_number TEXT, 
	entry_type TEXT, 
	configuration_url TEXT, 
	via_device_id TEXT, 
	parent_device_id TEXT, 
	disabled_by TEXT, 
	disabled INTEGER NOT NULL GENERATED ALWAYS AS (disabled_by IS NOT NULL) STORED, 
	labels TEXT NOT NULL, 
	identifiers TEXT NOT NULL, 
	connections TEXT NOT NULL, 
	note TEXT, 
	extra TEXT NOT NULL, 
	source_values TEXT NOT NULL, 
	first_listed_at TEXT NOT NULL, 
	last_listed_at TEXT, 
	removed_at TEXT, 
	created_at TEXT NOT NULL, 
	modified_at TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	CONSTRAINT pk_devices PRIMARY KEY (number), 
	CONSTRAINT ck_devices_ck_devices_device_id_length CHECK (length(device_id) BETWEEN 1 AND 255), 
	CONSTRAINT fk_devices_source_id FOREIGN KEY(source_id) REFERENCES sources (source_id), 
	CONSTRAINT uq_devices_device_id UNIQUE (device_id)
)
 STRICT

;
CREATE TABLE entities (
	number INTEGER NOT NULL, 
	id TEXT NOT NULL, 
	entity_id TEXT NOT NULL, 
	source_id TEXT NOT NULL, 
	device_id TEXT, 
	domain TEXT NOT NULL, 
	platform TEXT, 
	unique_id TEXT, 
	name TEXT, 
	name_by_user TEXT, 
	area_id TEXT, 
	disabled_by TEXT, 
	disabled INTEGER NOT NULL GENERATED ALWAYS AS (disabled_by IS NOT NULL) STORED, 
	hidden_by TEXT, 
	entity_category TEXT, 
	device_class TEXT, 
	labels TEXT NOT NULL, 
	note TEXT, 
	extra TEXT NOT NULL, 
	source_values TEXT NOT NULL, 
	first_listed_at TEXT NOT NULL, 
	last_listed_at TEXT, 
	removed_at TEXT, 
	created_at TEXT NOT NULL, 
	modified_at TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	CONSTRAINT pk_entities PRIMARY KEY (number), 
	CONSTRAINT fk_entities_device_id FOREIGN KEY(device_id) REFERENCES devices (device_id), 
	CONSTRAINT fk_entities_source_id FOREIGN KEY(source_id) REFERENCES sources (source_id), 
	CONSTRAINT uq_entities_id UNIQUE (id)
)
 STRICT

;
CREATE TABLE sightings (
	number INTEGER NOT NULL, 
	last_seen TEXT, 
	seen_by TEXT, 
	CONSTRAINT pk_sightings PRIMARY KEY (number), 
	CONSTRAINT fk_sightings_number FOREIGN KEY(number) REFERENCES devices (number)
)
 STRICT

;
CREATE TABLE device_ids (
	old_id TEXT NOT NULL, 
	device_id TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	moved_at TEXT NOT NULL, 
	CONSTRAINT pk_device_ids PRIMARY KEY (old_id), 
	CONSTRAINT fk_device_ids_device_id FOREIGN KEY(device_id) REFERENCES devices (device_id)
)
 STRICT

;
CREATE TABLE changes (
	seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	at TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	source_id TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	action TEXT NOT NULL, 
	"before" TEXT, 
	"after" TEXT, 
	actor TEXT NOT NULL, 
	run_id TEXT, 
	request_id TEXT, 
	CONSTRAINT ck_changes_ck_changes_kind CHECK (kind IN ('source', 'area', 'device', 'entity')), 
	CONSTRAINT ck_changes_ck_changes_action CHECK (action IN ('create', 'update', 'remove', 'restore', 'rename', 'move'))
)
 STRICT

;
CREATE TABLE idempotency_keys (
	"key" TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	status INTEGER NOT NULL, 
	body TEXT NOT NULL, 
	kept_at TEXT NOT NULL, 
	CONSTRAINT pk_idempotency_keys PRIMARY KEY ("key")
)
 STRICT

;
CREATE VIRTUAL TABLE device_search USING fts5 (
        names, facts, content = '', contentless_delete = 1, prefix = '2', tokenize = 'unicode61 remove_diacritics 2'
    );
CREATE VIRTUAL TABLE entity_search USING fts5 (
        names, facts, content = '', contentless_delete = 1, prefix = '2', tokenize = 'unicode61 remove_diacritics 2'
    );
INSERT INTO alembic_version ("version_num") VALUES ('0002');
INSERT INTO sources ("source_id", "kind", "name", "state", "last_sync_at", "last_error", "extra", "created_at", "modified_at", "version") VALUES ('home', 'home_assistant', 'Zuhause ☕', 'ok', '2026-03-31T08:30:00.123456Z', NULL, '{"version":"2026.3.1","floors":[{"floor_id":"eg"}]}', '2026-03-11T08:30:00.123456Z', '2026-03-31T08:30:00.123456Z', 2);
INSERT INTO sources ("source_id", "kind", "name", "state", "last_sync_at", "last_error", "extra", "created_at", "modified_at", "version") VALUES ('manual', 'manual', 'Added by hand', 'never', NULL, NULL, '{}', '2026-03-11T09:30:00.123456Z', '2026-03-11T09:30:00.123456Z', 1);
INSERT INTO sources ("source_id", "kind", "name", "state", "last_sync_at", "last_error", "extra", "created_at", "modified_at", "version") VALUES ('cabin', 'file', 'Cabin', 'error', '2026-04-01T08:30:00.123456Z', 'it does not answer', '{}', '2026-04-01T08:30:00.123456Z', '2026-04-01T08:30:00.123456Z', 2);
INSERT INTO areas ("source_id", "area_id", "name", "floor_id", "aliases", "labels", "extra", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES ('home', 'kueche', 'Küche', 'eg', '["Kochen","台所"]', '["warm"]', '{}', '2026-03-11T08:30:00.123456Z', NULL, NULL, '2026-03-11T08:30:00.123456Z', '2026-03-11T08:30:00.123456Z', 1);
INSERT INTO areas ("source_id", "area_id", "name", "floor_id", "aliases", "labels", "extra", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES ('home', 'hall', 'The "Hall" \ it''s', NULL, '[]', '[]', '{}', '2026-03-11T08:30:00.123456Z', '2026-03-31T08:30:00.123456Z', '2026-03-31T08:30:00.123456Z', '2026-03-01T08:30:00.123456Z', '2026-03-31T08:30:00.123456Z', 2);
INSERT INTO areas ("source_id", "area_id", "name", "floor_id", "aliases", "labels", "extra", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES ('manual', 'shed', 'Shed', NULL, '[]', '[]', '{}', '2026-03-11T09:30:00.123456Z', NULL, NULL, '2026-03-11T09:30:00.123456Z', '2026-03-11T09:30:00.123456Z', 1);
INSERT INTO sync_runs ("run_id", "source_id", "started_at", "finished_at", "counts", "outcome", "guard") VALUES ('00000000000000000000000000000001', 'home', '2026-03-11T08:30:00.123456Z', '2026-03-11T08:30:00.123456Z', '{"areas":{"create":2,"update":0,"restore":0,"remove":0,"unchanged":0},"devices":{"create":12,"update":0,"restore":0,"remove":0,"unchanged":0},"entities":{"create":12,"update":0,"restore":0,"remove":0,"unchanged":0}}', 'ok', NULL);
INSERT INTO sync_runs ("run_id", "source_id", "started_at", "finished_at", "counts", "outcome", "guard") VALUES ('00000000000000000000000000000002', 'home', '2026-03-31T08:30:00.123456Z', '2026-03-31T08:30:00.123456Z', '{"areas":{"create":0,"update":0,"restore":0,"remove":1,"unchanged":1},"devices":{"create":1,"update":1,"restore":0,"remove":1,"unchanged":10},"entities":{"create":0,"update":1,"restore":0,"remove":2,"unchanged":9}}', 'ok', 'removals allowed by hand');
INSERT INTO sync_runs ("run_id", "source_id", "started_at", "finished_at", "counts", "outcome", "guard") VALUES ('00000000000000000000000000000003', 'cabin', '2026-04-01T08:30:00.123456Z', '2026-04-01T08:30:00.123456Z', '{"areas":{"create":0,"update":0,"restore":0,"remove":0,"unchanged":0},"devices":{"create":0,"update":0,"restore":0,"remove":0,"unchanged":0},"entities":{"create":0,"update":0,"restore":0,"remove":0,"unchanged":0}}', 'ok', NULL);
INSERT INTO devices ("number", "device_id", "source_id", "name", "name_by_user", "manufacturer", "model", "model_id", "area_id", "integration", "sw_version", "hw_version", "serial_number", "entry_type", "configuration_url", "via_device_id", "parent_device_id", "disabled_by", "labels", "identifiers", "connections", "note", "extra", "source_values", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES (1, 'lamp', 'home', 'Deckenlampe', 'Große Lampe', 'manufacturer of lamp', 'model of lamp', 'model_id of lamp', 'kueche', 'integration of lamp', '2.0', 'hw_version of lamp', 'serial_number of lamp', 'service', 'configuration_url of lamp', 'hub', 'parent_device_id of lamp', 'user', '["a","b"]', '[["zha","00:11"],["x",1]]', '[["mac","aa:bb"]]', NULL, '{"primary":null,"deep":{"n":[1,2.5,1e+21,true,"ü"]}}', '{}', '2026-03-11T08:30:00.123456Z', NULL, NULL, '2026-03-01T08:30:00.123456Z', '2026-03-21T08:30:00.123456Z', 2);
INSERT INTO devices ("number", "device_id", "source_id", "name", "name_by_user", "manufacturer", "model", "model_id", "area_id", "integration", "sw_version", "hw_version", "serial_number", "entry_type", "configuration_url", "via_device_id", "parent_device_id", "disabled_by", "labels", "identifiers", "connections", "note", "extra", "source_values", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES (2, 'hub', 'home', 'Hub', NULL, NULL, NULL, NULL, 'hall', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '[]', '[]', 'hinter der Tür', '{}', '{"area_id":null,"name_by_user":null}', '2026-03-11T08:30:00.123456Z', NULL, NULL, '2026-03-01T08:30:00.123456Z', '2026-03-11T09:30:00.123456Z', 2);
INSERT INTO devices ("number", "device_id", "source_id", "name", "name_by_user", "manufacturer", "model", "model_id", "area_id", "integration", "sw_version", "hw_version", "serial_number", "entry_type", "configuration_url", "via_device_id", "parent_device_id", "disabled_by", "labels", "identifiers", "connections", "note", "extra", "source_values", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES (3, 'd00', 'home', 'مصباح', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '[]', '[]', NULL, '{}', '{}', '2026-03-11T08:30:00.123456Z', NULL, NULL, '2026-03-11T08:30:00.123456Z', '2026-03-11T08:30:00.123456Z', 1);
INSERT INTO devices ("number", "device_id", "source_id", "name", "name_by_user", "manufacturer", "model", "model_id", "area_id", "integration", "sw_version", "hw_version", "serial_number", "entry_type", "configuration_url", "via_device_id", "parent_device_id", "disabled_by", "labels", "identifiers", "connections", "note", "extra", "source_values", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES (4, 'd01', 'home', 'ランプ', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '[]', '[]', NULL, '{}', '{}', '2026-03-11T08:30:00.123456Z', '2026-03-31T08:30:00.123456Z', '2026-03-31T08:30:00.123456Z', '2026-03-11T08:30:00.123456Z', '2026-03-31T08:30:00.123456Z', 2);
INSERT INTO devices ("number", "device_id", "source_id", "name", "name_by_user", "manufacturer", "model", "model_id", "area_id", "integration", "sw_version", "hw_version", "serial_number", "entry_type", "configuration_url", "via_device_id", "parent_device_id", "disabled_by", "labels", "identifiers", "connections", "note", "extra", "source_values", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES (5, 'd02', 'home', 'Lámpara', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '[]', '[]', NULL, '{}', '{}', '2026-03-11T08:30:00.123456Z', NULL, NULL, '2026-03-11T08:30:00.123456Z', '2026-03-11T08:30:00.123456Z', 1);
INSERT INTO devices ("number", "device_id", "source_id", "name", "name_by_user", "manufacturer", "model", "model_id", "area_id", "integration", "sw_version", "hw_version", "serial_number", "entry_type", "configuration_url", "via_device_id", "parent_device_id", "disabled_by", "labels", "identifiers", "connections", "note", "extra", "source_values", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES (6, 'd03', 'home', '', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '[]', '[]', NULL, '{}', '{}', '2026-03-11T08:30:00.123456Z', NULL, NULL, '2026-03-11T08:30:00.123456Z', '2026-03-11T08:30:00.123456Z', 1);
INSERT INTO devices ("number", "device_id", "source_id", "name", "name_by_user", "manufacturer", "model", "model_id", "area_id", "integration", "sw_version", "hw_version", "serial_number", "entry_type", "configuration_url", "via_device_id", "parent_device_id", "disabled_by", "labels", "identifiers", "connections", "note", "extra", "source_values", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES (7, 'd04', 'home', 'line one
line two', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '[]', '[]', NULL, '{}', '{}', '2026-03-11T08:30:00.123456Z', NULL, NULL, '2026-03-11T08:30:00.123456Z', '2026-03-11T08:30:00.123456Z', 1);
INSERT INTO devices ("number", "device_id", "source_id", "name", "name_by_user", "manufacturer", "model", "model_id", "area_id", "integration", "sw_version", "hw_version", "serial_number", "entry_type", "configuration_url", "via_device_id", "parent_device_id", "disabled_by", "labels", "identifiers", "connections", "note", "extra", "source_values", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES (8, 'd05', 'home', '🔌 plug', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '[]', '[]', NULL, '{}', '{}', '2026-03-11T08:30:00.123456Z', NULL, NULL, '2026-03-11T08:30:00.123456Z', '2026-03-11T08:30:00.123456Z', 1);
INSERT INTO devices ("number", "device_id", "source_id", "name", "name_by_user", "manufacturer", "model", "model_id", "area_id", "integration", "sw_version", "hw_version", "serial_number", "entry_type", "configuration_url", "via_device_id", "parent_device_id", "disabled_by", "labels", "identifiers", "connections", "note", "extra", "source_values", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES (9, 'd06', 'home', '%s $1 ?', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '[]', '[]', NULL, '{}', '{}', '2026-03-11T08:30:00.123456Z', NULL, NULL, '2026-03-11T08:30:00.123456Z', '2026-03-11T08:30:00.123456Z', 1);
INSERT INTO devices ("number", "device_id", "source_id", "name", "name_by_user", "manufacturer", "model", "model_id", "area_id", "integration", "sw_version", "hw_version", "serial_number", "entry_type", "configuration_url", "via_device_id", "parent_device_id", "disabled_by", "labels", "identifiers", "connections", "note", "extra", "source_values", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES (10, 'd07', 'home', 'a	tab', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '[]', '[]', NULL, '{}', '{}', '2026-03-11T08:30:00.123456Z', NULL, NULL, '2026-03-11T08:30:00.123456Z', '2026-03-11T08:30:00.123456Z', 1);
INSERT INTO devices ("number", "device_id", "source_id", "name", "name_by_user", "manufacturer", "model", "model_id", "area_id", "integration", "sw_version", "hw_version", "serial_number", "entry_type", "configuration_url", "via_device_id", "parent_device_id", "disabled_by", "labels", "identifiers", "connections", "note", "extra", "source_values", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES (11, 'd08', 'home', 'İstanbul', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '[]', '[]', NULL, '{}', '{}', '2026-03-11T08:30:00.123456Z', NULL, NULL, '2026-03-11T08:30:00.123456Z', '2026-03-11T08:30:00.123456Z', 1);
INSERT INTO devices ("number", "device_id", "source_id", "name", "name_by_user", "manufacturer", "model", "model_id", "area_id", "integration", "sw_version", "hw_version", "serial_number", "entry_type", "configuration_url", "via_device_id", "parent_device_id", "disabled_by", "labels", "identifiers", "connections", "note", "extra", "source_values", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES (12, 'd09', 'home', 'ﬁlter', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '[]', '[]', NULL, '{}', '{}', '2026-03-11T08:30:00.123456Z', NULL, NULL, '2026-03-11T08:30:00.123456Z', '2026-03-11T08:30:00.123456Z', 1);
INSERT INTO devices ("number", "device_id", "source_id", "name", "name_by_user", "manufacturer", "model", "model_id", "area_id", "integration", "sw_version", "hw_version", "serial_number", "entry_type", "configuration_url", "via_device_id", "parent_device_id", "disabled_by", "labels", "identifiers", "connections", "note", "extra", "source_values", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES (13, 'boiler', 'manual', 'Boiler', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '[]', '[]', 'serviced
in March', '{}', '{}', '2026-03-11T09:30:00.123456Z', NULL, NULL, '2026-03-11T09:30:00.123456Z', '2026-03-11T09:30:00.123456Z', 1);
INSERT INTO devices ("number", "device_id", "source_id", "name", "name_by_user", "manufacturer", "model", "model_id", "area_id", "integration", "sw_version", "hw_version", "serial_number", "entry_type", "configuration_url", "via_device_id", "parent_device_id", "disabled_by", "labels", "identifiers", "connections", "note", "extra", "source_values", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES (14, 'sold', 'manual', 'Sold', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '[]', '[]', NULL, '{}', '{}', '2026-03-11T09:30:00.123456Z', '2026-03-11T10:30:00.123456Z', '2026-03-11T10:30:00.123456Z', '2026-03-11T09:30:00.123456Z', '2026-03-11T10:30:00.123456Z', 2);
INSERT INTO devices ("number", "device_id", "source_id", "name", "name_by_user", "manufacturer", "model", "model_id", "area_id", "integration", "sw_version", "hw_version", "serial_number", "entry_type", "configuration_url", "via_device_id", "parent_device_id", "disabled_by", "labels", "identifiers", "connections", "note", "extra", "source_values", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES (15, 'late', 'home', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '[]', '[]', NULL, '{}', '{}', '2026-03-31T08:30:00.123456Z', NULL, NULL, '2026-03-31T08:30:00.123456Z', '2026-03-31T08:30:00.123456Z', 1);
INSERT INTO entities ("number", "id", "entity_id", "source_id", "device_id", "domain", "platform", "unique_id", "name", "name_by_user", "area_id", "disabled_by", "hidden_by", "entity_category", "device_class", "labels", "note", "extra", "source_values", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES (1, 'light-1', 'light.küche', 'home', 'lamp', 'light', 'platform of light', 'unique_id of light', 'name of light', 'name_by_user of light', 'hall', 'disabled_by of light', 'hidden_by of light', 'entity_category of light', 'device_class of light', '["ночь"]', 'dimmt', '{"options":{"sensor":{"precision":2}}}', '{"area_id":"area_id of light"}', '2026-03-11T08:30:00.123456Z', NULL, NULL, '2026-03-01T08:30:00.123456Z', '2026-03-11T09:30:00.123456Z', 2);
INSERT INTO entities ("number", "id", "entity_id", "source_id", "device_id", "domain", "platform", "unique_id", "name", "name_by_user", "area_id", "disabled_by", "hidden_by", "entity_category", "device_class", "labels", "note", "extra", "source_values", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES (2, 'state-only', 'sun.sun', 'home', NULL, 'sun', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', NULL, '{}', '{}', '2026-03-11T08:30:00.123456Z', NULL, NULL, '2026-03-11T08:30:00.123456Z', '2026-03-11T08:30:00.123456Z', 1);
INSERT INTO entities ("number", "id", "entity_id", "source_id", "device_id", "domain", "platform", "unique_id", "name", "name_by_user", "area_id", "disabled_by", "hidden_by", "entity_category", "device_class", "labels", "note", "extra", "source_values", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES (3, 'e00', 'sensor.renamed', 'home', 'd00', 'sensor', 'zha', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', NULL, '{}', '{}', '2026-03-11T08:30:00.123456Z', NULL, NULL, '2026-03-11T08:30:00.123456Z', '2026-03-31T08:30:00.123456Z', 2);
INSERT INTO entities ("number", "id", "entity_id", "source_id", "device_id", "domain", "platform", "unique_id", "name", "name_by_user", "area_id", "disabled_by", "hidden_by", "entity_category", "device_class", "labels", "note", "extra", "source_values", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES (4, 'e01', 'sensor.d01', 'home', 'd01', 'sensor', 'zha', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', NULL, '{}', '{}', '2026-03-11T08:30:00.123456Z', '2026-03-31T08:30:00.123456Z', '2026-03-31T08:30:00.123456Z', '2026-03-11T08:30:00.123456Z', '2026-03-31T08:30:00.123456Z', 2);
INSERT INTO entities ("number", "id", "entity_id", "source_id", "device_id", "domain", "platform", "unique_id", "name", "name_by_user", "area_id", "disabled_by", "hidden_by", "entity_category", "device_class", "labels", "note", "extra", "source_values", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES (5, 'e02', 'sensor.d02', 'home', 'd02', 'sensor', 'zha', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', NULL, '{}', '{}', '2026-03-11T08:30:00.123456Z', '2026-03-31T08:30:00.123456Z', '2026-03-31T08:30:00.123456Z', '2026-03-11T08:30:00.123456Z', '2026-03-31T08:30:00.123456Z', 2);
INSERT INTO entities ("number", "id", "entity_id", "source_id", "device_id", "domain", "platform", "unique_id", "name", "name_by_user", "area_id", "disabled_by", "hidden_by", "entity_category", "device_class", "labels", "note", "extra", "source_values", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES (6, 'e03', 'sensor.d03', 'home', 'd03', 'sensor', 'zha', NULL, NULL, NULL, NULL, 'user', NULL, NULL, NULL, '[]', NULL, '{}', '{"disabled_by":null}', '2026-03-11T08:30:00.123456Z', NULL, NULL, '2026-03-11T08:30:00.123456Z', '2026-03-11T09:30:00.123456Z', 2);
INSERT INTO entities ("number", "id", "entity_id", "source_id", "device_id", "domain", "platform", "unique_id", "name", "name_by_user", "area_id", "disabled_by", "hidden_by", "entity_category", "device_class", "labels", "note", "extra", "source_values", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES (7, 'e04', 'sensor.d04', 'home', 'd04', 'sensor', 'zha', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', NULL, '{}', '{}', '2026-03-11T08:30:00.123456Z', NULL, NULL, '2026-03-11T08:30:00.123456Z', '2026-03-11T08:30:00.123456Z', 1);
INSERT INTO entities ("number", "id", "entity_id", "source_id", "device_id", "domain", "platform", "unique_id", "name", "name_by_user", "area_id", "disabled_by", "hidden_by", "entity_category", "device_class", "labels", "note", "extra", "source_values", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES (8, 'e05', 'sensor.d05', 'home', 'd05', 'sensor', 'zha', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', NULL, '{}', '{}', '2026-03-11T08:30:00.123456Z', NULL, NULL, '2026-03-11T08:30:00.123456Z', '2026-03-11T08:30:00.123456Z', 1);
INSERT INTO entities ("number", "id", "entity_id", "source_id", "device_id", "domain", "platform", "unique_id", "name", "name_by_user", "area_id", "disabled_by", "hidden_by", "entity_category", "device_class", "labels", "note", "extra", "source_values", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES (9, 'e06', 'sensor.d06', 'home', 'd06', 'sensor', 'zha', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', NULL, '{}', '{}', '2026-03-11T08:30:00.123456Z', NULL, NULL, '2026-03-11T08:30:00.123456Z', '2026-03-11T08:30:00.123456Z', 1);
INSERT INTO entities ("number", "id", "entity_id", "source_id", "device_id", "domain", "platform", "unique_id", "name", "name_by_user", "area_id", "disabled_by", "hidden_by", "entity_category", "device_class", "labels", "note", "extra", "source_values", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES (10, 'e07', 'sensor.d07', 'home', 'd07', 'sensor', 'zha', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', NULL, '{}', '{}', '2026-03-11T08:30:00.123456Z', NULL, NULL, '2026-03-11T08:30:00.123456Z', '2026-03-11T08:30:00.123456Z', 1);
INSERT INTO entities ("number", "id", "entity_id", "source_id", "device_id", "domain", "platform", "unique_id", "name", "name_by_user", "area_id", "disabled_by", "hidden_by", "entity_category", "device_class", "labels", "note", "extra", "source_values", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES (11, 'e08', 'sensor.d08', 'home', 'd08', 'sensor', 'zha', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', NULL, '{}', '{}', '2026-03-11T08:30:00.123456Z', NULL, NULL, '2026-03-11T08:30:00.123456Z', '2026-03-11T08:30:00.123456Z', 1);
INSERT INTO entities ("number", "id", "entity_id", "source_id", "device_id", "domain", "platform", "unique_id", "name", "name_by_user", "area_id", "disabled_by", "hidden_by", "entity_category", "device_class", "labels", "note", "extra", "source_values", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES (12, 'e09', 'sensor.d09', 'home', 'd09', 'sensor', 'zha', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', NULL, '{}', '{}', '2026-03-11T08:30:00.123456Z', NULL, NULL, '2026-03-11T08:30:00.123456Z', '2026-03-11T08:30:00.123456Z', 1);
INSERT INTO sightings ("number", "last_seen", "seen_by") VALUES (1, '2026-03-11T08:30:00.123456Z', 'home');
INSERT INTO sightings ("number", "last_seen", "seen_by") VALUES (2, NULL, NULL);
INSERT INTO sightings ("number", "last_seen", "seen_by") VALUES (3, NULL, NULL);
INSERT INTO sightings ("number", "last_seen", "seen_by") VALUES (4, NULL, NULL);
INSERT INTO sightings ("number", "last_seen", "seen_by") VALUES (5, '2026-03-01T08:30:00.123456Z', 'home');
INSERT INTO sightings ("number", "last_seen", "seen_by") VALUES (6, NULL, NULL);
INSERT INTO sightings ("number", "last_seen", "seen_by") VALUES (7, NULL, NULL);
INSERT INTO sightings ("number", "last_seen", "seen_by") VALUES (8, NULL, NULL);
INSERT INTO sightings ("number", "last_seen", "seen_by") VALUES (9, NULL, NULL);
INSERT INTO sightings ("number", "last_seen", "seen_by") VALUES (10, NULL, NULL);
INSERT INTO sightings ("number", "last_seen", "seen_by") VALUES (11, NULL, NULL);
INSERT INTO sightings ("number", "last_seen", "seen_by") VALUES (12, NULL, NULL);
INSERT INTO sightings ("number", "last_seen", "seen_by") VALUES (13, '2026-03-11T08:30:01.123456Z', 'home');
INSERT INTO sightings ("number", "last_seen", "seen_by") VALUES (14, NULL, NULL);
INSERT INTO sightings ("number", "last_seen", "seen_by") VALUES (15, NULL, NULL);
INSERT INTO device_ids ("old_id", "device_id", "reason", "moved_at") VALUES ('composite', 'lamp', 'split by its source', '2026-03-11T08:30:00.123456Z');
INSERT INTO device_ids ("old_id", "device_id", "reason", "moved_at") VALUES ('second', 'hub', 'split by its source', '2026-03-31T08:30:00.123456Z');
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (1, '2026-03-11T08:30:00.123456Z', 'source', 'home', 'home', 'create', NULL, '{"source_id":"home","kind":"home_assistant","name":"Zuhause ☕","extra":{"version":"2026.3.1","floors":[{"floor_id":"eg"}]},"state":"ok","last_sync_at":"2026-03-11T08:30:00.123456Z","last_error":null}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (2, '2026-03-11T08:30:00.123456Z', 'area', 'home', 'kueche', 'create', NULL, '{"area_id":"kueche","name":"Küche","floor_id":"eg","aliases":["Kochen","台所"],"labels":["warm"]}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (3, '2026-03-11T08:30:00.123456Z', 'area', 'home', 'hall', 'create', NULL, '{"area_id":"hall","name":"The \"Hall\" \\ it''s","created_at":"2026-03-01T08:30:00.123456Z","modified_at":"2026-03-01T08:30:00.123456Z"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (4, '2026-03-11T08:30:00.123456Z', 'device', 'home', 'lamp', 'create', NULL, '{"manufacturer":"manufacturer of lamp","model":"model of lamp","model_id":"model_id of lamp","area_id":"kueche","integration":"integration of lamp","sw_version":"sw_version of lamp","hw_version":"hw_version of lamp","serial_number":"serial_number of lamp","configuration_url":"configuration_url of lamp","parent_device_id":"parent_device_id of lamp","device_id":"lamp","name":"Deckenlampe","name_by_user":"Große Lampe","via_device_id":"hub","entry_type":"service","disabled_by":"user","labels":["a","b"],"identifiers":[["zha","00:11"],["x",1]],"connections":[["mac","aa:bb"]],"extra":{"primary":null,"deep":{"n":[1,2.5,1e+21,true,"ü"]}},"created_at":"2026-03-01T08:30:00.123456Z","modified_at":"2026-03-02T08:30:00.123456Z"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (5, '2026-03-11T08:30:00.123456Z', 'device', 'home', 'hub', 'create', NULL, '{"device_id":"hub","name":"Hub","created_at":"2026-03-01T08:30:00.123456Z","modified_at":"2026-03-01T08:30:00.123456Z"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (6, '2026-03-11T08:30:00.123456Z', 'device', 'home', 'd00', 'create', NULL, '{"device_id":"d00","name":"مصباح"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (7, '2026-03-11T08:30:00.123456Z', 'device', 'home', 'd01', 'create', NULL, '{"device_id":"d01","name":"ランプ"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (8, '2026-03-11T08:30:00.123456Z', 'device', 'home', 'd02', 'create', NULL, '{"device_id":"d02","name":"Lámpara"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (9, '2026-03-11T08:30:00.123456Z', 'device', 'home', 'd03', 'create', NULL, '{"device_id":"d03","name":""}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (10, '2026-03-11T08:30:00.123456Z', 'device', 'home', 'd04', 'create', NULL, '{"device_id":"d04","name":"line one\nline two"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (11, '2026-03-11T08:30:00.123456Z', 'device', 'home', 'd05', 'create', NULL, '{"device_id":"d05","name":"🔌 plug"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (12, '2026-03-11T08:30:00.123456Z', 'device', 'home', 'd06', 'create', NULL, '{"device_id":"d06","name":"%s $1 ?"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (13, '2026-03-11T08:30:00.123456Z', 'device', 'home', 'd07', 'create', NULL, '{"device_id":"d07","name":"a\ttab"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (14, '2026-03-11T08:30:00.123456Z', 'device', 'home', 'd08', 'create', NULL, '{"device_id":"d08","name":"İstanbul"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (15, '2026-03-11T08:30:00.123456Z', 'device', 'home', 'd09', 'create', NULL, '{"device_id":"d09","name":"ﬁlter"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (16, '2026-03-11T08:30:00.123456Z', 'entity', 'home', 'light-1', 'create', NULL, '{"platform":"platform of light","unique_id":"unique_id of light","name":"name of light","name_by_user":"name_by_user of light","area_id":"area_id of light","disabled_by":"disabled_by of light","hidden_by":"hidden_by of light","entity_category":"entity_category of light","device_class":"device_class of light","id":"light-1","entity_id":"light.küche","device_id":"lamp","domain":"light","labels":["ночь"],"extra":{"options":{"sensor":{"precision":2}}},"created_at":"2026-03-01T08:30:00.123456Z","modified_at":"2026-03-01T08:30:00.123456Z"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (17, '2026-03-11T08:30:00.123456Z', 'entity', 'home', 'state-only', 'create', NULL, '{"id":"state-only","entity_id":"sun.sun","domain":"sun"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (18, '2026-03-11T08:30:00.123456Z', 'entity', 'home', 'e00', 'create', NULL, '{"id":"e00","entity_id":"sensor.d00","domain":"sensor","device_id":"d00","platform":"zha"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (19, '2026-03-11T08:30:00.123456Z', 'entity', 'home', 'e01', 'create', NULL, '{"id":"e01","entity_id":"sensor.d01","domain":"sensor","device_id":"d01","platform":"zha"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (20, '2026-03-11T08:30:00.123456Z', 'entity', 'home', 'e02', 'create', NULL, '{"id":"e02","entity_id":"sensor.d02","domain":"sensor","device_id":"d02","platform":"zha"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (21, '2026-03-11T08:30:00.123456Z', 'entity', 'home', 'e03', 'create', NULL, '{"id":"e03","entity_id":"sensor.d03","domain":"sensor","device_id":"d03","platform":"zha"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (22, '2026-03-11T08:30:00.123456Z', 'entity', 'home', 'e04', 'create', NULL, '{"id":"e04","entity_id":"sensor.d04","domain":"sensor","device_id":"d04","platform":"zha"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (23, '2026-03-11T08:30:00.123456Z', 'entity', 'home', 'e05', 'create', NULL, '{"id":"e05","entity_id":"sensor.d05","domain":"sensor","device_id":"d05","platform":"zha"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (24, '2026-03-11T08:30:00.123456Z', 'entity', 'home', 'e06', 'create', NULL, '{"id":"e06","entity_id":"sensor.d06","domain":"sensor","device_id":"d06","platform":"zha"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (25, '2026-03-11T08:30:00.123456Z', 'entity', 'home', 'e07', 'create', NULL, '{"id":"e07","entity_id":"sensor.d07","domain":"sensor","device_id":"d07","platform":"zha"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (26, '2026-03-11T08:30:00.123456Z', 'entity', 'home', 'e08', 'create', NULL, '{"id":"e08","entity_id":"sensor.d08","domain":"sensor","device_id":"d08","platform":"zha"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (27, '2026-03-11T08:30:00.123456Z', 'entity', 'home', 'e09', 'create', NULL, '{"id":"e09","entity_id":"sensor.d09","domain":"sensor","device_id":"d09","platform":"zha"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (28, '2026-03-11T08:30:00.123456Z', 'device', 'home', 'composite', 'move', '{"device_id":"composite"}', '{"device_id":"lamp"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (29, '2026-03-11T09:30:00.123456Z', 'source', 'manual', 'manual', 'create', NULL, '{"source_id":"manual","kind":"manual","name":"Added by hand","state":"never"}', 'api', NULL, 'request-1');
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (30, '2026-03-11T09:30:00.123456Z', 'area', 'manual', 'shed', 'create', NULL, '{"area_id":"shed","name":"Shed"}', 'api', NULL, 'request-1');
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (31, '2026-03-11T09:30:00.123456Z', 'device', 'manual', 'boiler', 'create', NULL, '{"device_id":"boiler","name":"Boiler","note":"serviced\nin March"}', 'api', NULL, 'request-1');
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (32, '2026-03-11T09:30:00.123456Z', 'device', 'manual', 'sold', 'create', NULL, '{"device_id":"sold","name":"Sold"}', 'api', NULL, 'request-1');
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (33, '2026-03-11T09:30:00.123456Z', 'device', 'home', 'hub', 'update', '{"area_id":null,"note":null,"source_values":{}}', '{"area_id":"hall","note":"hinter der Tür","source_values":{"area_id":null,"name_by_user":null}}', 'api', NULL, 'request-1');
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (34, '2026-03-11T09:30:00.123456Z', 'entity', 'home', 'light-1', 'update', '{"area_id":"area_id of light","note":null,"source_values":{}}', '{"area_id":"hall","note":"dimmt","source_values":{"area_id":"area_id of light"}}', 'api', NULL, 'request-1');
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (35, '2026-03-11T09:30:00.123456Z', 'entity', 'home', 'e03', 'update', '{"disabled_by":null,"source_values":{}}', '{"disabled_by":"user","source_values":{"disabled_by":null}}', 'api', NULL, 'request-1');
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (36, '2026-03-11T10:30:00.123456Z', 'device', 'manual', 'sold', 'remove', '{"removed_at":null}', '{"removed_at":"2026-03-11T10:30:00.123456Z"}', 'command', NULL, NULL);
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (37, '2026-03-31T08:30:00.123456Z', 'source', 'home', 'home', 'update', '{"last_sync_at":"2026-03-11T08:30:00.123456Z"}', '{"last_sync_at":"2026-03-31T08:30:00.123456Z"}', 'sync', '00000000000000000000000000000002', NULL);
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (38, '2026-03-31T08:30:00.123456Z', 'area', 'home', 'hall', 'remove', '{"removed_at":null}', '{"removed_at":"2026-03-31T08:30:00.123456Z"}', 'sync', '00000000000000000000000000000002', NULL);
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (39, '2026-03-31T08:30:00.123456Z', 'device', 'home', 'd01', 'remove', '{"removed_at":null}', '{"removed_at":"2026-03-31T08:30:00.123456Z"}', 'sync', '00000000000000000000000000000002', NULL);
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (40, '2026-03-31T08:30:00.123456Z', 'device', 'home', 'lamp', 'update', '{"sw_version":"sw_version of lamp","modified_at":"2026-03-02T08:30:00.123456Z"}', '{"sw_version":"2.0","modified_at":"2026-03-21T08:30:00.123456Z"}', 'sync', '00000000000000000000000000000002', NULL);
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (41, '2026-03-31T08:30:00.123456Z', 'device', 'home', 'late', 'create', NULL, '{"device_id":"late"}', 'sync', '00000000000000000000000000000002', NULL);
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (42, '2026-03-31T08:30:00.123456Z', 'entity', 'home', 'e01', 'remove', '{"removed_at":null}', '{"removed_at":"2026-03-31T08:30:00.123456Z"}', 'sync', '00000000000000000000000000000002', NULL);
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (43, '2026-03-31T08:30:00.123456Z', 'entity', 'home', 'e02', 'remove', '{"removed_at":null}', '{"removed_at":"2026-03-31T08:30:00.123456Z"}', 'sync', '00000000000000000000000000000002', NULL);
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (44, '2026-03-31T08:30:00.123456Z', 'entity', 'home', 'e00', 'rename', '{"entity_id":"sensor.d00"}', '{"entity_id":"sensor.renamed"}', 'sync', '00000000000000000000000000000002', NULL);
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (45, '2026-03-31T08:30:00.123456Z', 'device', 'home', 'second', 'move', '{"device_id":"second"}', '{"device_id":"hub"}', 'sync', '00000000000000000000000000000002', NULL);
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (46, '2026-04-01T08:30:00.123456Z', 'source', 'cabin', 'cabin', 'create', NULL, '{"source_id":"cabin","kind":"file","name":"Cabin","extra":{},"state":"ok","last_sync_at":"2026-04-01T08:30:00.123456Z","last_error":null}', 'sync', '00000000000000000000000000000003', NULL);
INSERT INTO changes ("seq", "at", "kind", "source_id", "key", "action", "before", "after", "actor", "run_id", "request_id") VALUES (47, '2026-04-01T08:30:00.123456Z', 'source', 'cabin', 'cabin', 'update', '{"state":"ok","last_error":null}', '{"state":"error","last_error":"it does not answer"}', 'sync', NULL, NULL);
INSERT INTO idempotency_keys ("key", "digest", "status", "body", "kept_at") VALUES ('key-1', 'digest', 200, '{"results":[]}', '2026-04-01T08:30:00.123456Z');
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence ("name", "seq") VALUES ('changes', 47);
DELETE FROM device_search_data;
INSERT INTO device_search_data ("id", "block") VALUES (1, X'0D1244');
INSERT INTO device_search_data ("id", "block") VALUES (10, X'00000000FF000001010815000801010101010101010201010202010101030101030301090904010104040101020501010505010102060101060600000907010107070000010801010808000001');
INSERT INTO device_search_data ("id", "block") VALUES (137438953473, X'0000009304306465720206010104010468616C6C0208010106040205696E746572020601010302027562020802010102010269740206010109010173020601010A01037468650206010107020275720206010105000331646502060101040102686102080101060402016902060101030201750208020101020102697402060101090102746802060101070201750206010105040A0C0C0A09080A090A0A08090909');
INSERT INTO device_search_data ("id", "block") VALUES (274877906945, X'0000018F0330303001060101120101310106010115020131010601011301016101060101190201610106010117010162010601011A0201620106010118010B6465636B656E6C616D7065010204010667726FC39F6501020201026964010601010901056B75636865010801011C04030465636865010601011B01046C616D70010E01010405060603050165010203020469676874010601011D01036D61630106010116030A6E756661637475726572010601010202046F64656C01080101050501066E756D626572010601010D01026F66010C010103050606010673657269616C010601010C010178010601011401037A6861010601011100033130300106010112010231310106010113010261610106010117010262620106010118010264650102040102677201020201026964010601010901026B75010A01011B030401026C6101100301010405060603020169010601011D01026D6101080101021602016F01080101050501026E75010601010D01026F66010C01010305060601027365010601010C01027A6801060101110409080808080808100B090D0B0F060B0A110C0D0C0D080A0A0909090707090B0E080A09090C09');
INSERT INTO device_search_data ("id", "block") VALUES (412316860417, X'000001B10230310902030101610A02020103643030030601010203013205060101020301330608010102040301340708010102040301350808010102040301360908010102040301370A08010102040301380B08010102040301390C08010102040108697374616E62756C0B020201076C616D706172610502020203696E650704020401036F6E650702030104706C7567080202010772656E616D656403060101040101730902020205656E736F720306010103030601010301060101030106010103010601010301060101030106010103010601010301037461620A02030202776F070205010AD985D8B5D8A8D8A7D8AD0302020107EFAC816C7465720C0202000331643003060101020206010102010801010204010801010204010801010204010801010204010801010204010801010204010801010204010269730B020201026C610502020201690704020401026F6E0702030102706C0802020102726503060101040102736503060101030306010103010601010301060101030106010103010601010301060101030106010103010274610A02030201770702050104D985D8B50302020104EFAC816C0C02020406060A08090909090909090D0C0908090E062F08070F0C390707070707092C070609');
INSERT INTO device_search_data ("id", "block") VALUES (549755813889, X'000000E70730626F696C65720D080201010201036465720206010104010468616C6C0208010106040205696E7465720206010103020275620208020101020102696E0D06010104020174020601010901056D617263680D06010105010173020601010A0207657276696365640D0601010301037468650206010107020275720206010105000331626F0D08020101020102646502060101040102686102080101060402016902060101030201750208020101020102696E0D06010104020174020601010901026D610D06010105010273650D060101030102746802060101070201750206010105040E0A0C0C0A09080C080E0A090B090A08090908090909');
INSERT INTO device_search_data ("id", "block") VALUES (687194767361, X'0000019D0330303001060101120101310106010115020131010601011301016101060101190201610106010117010162010601011A0201620106010118010B6465636B656E6C616D7065010204010667726FC39F6501020201026964010601010901056B75636865010801011C04030465636865010601011B01046C616D70010E01010405060603050165010203030274650F06010102020469676874010601011D01036D61630106010116030A6E756661637475726572010601010202046F64656C01080101050501066E756D626572010601010D01026F66010C010103050606010673657269616C010601010C010178010601011401037A6861010601011100033130300106010112010231310106010113010261610106010117010262620106010118010264650102040102677201020201026964010601010901026B75010A01011B030401026C61011003010104050606030E06010102020169010601011D01026D6101080101021602016F01080101050501026E75010601010D01026F66010C01010305060601027365010601010C01027A6801060101110409080808080808100B090D0B0F06090B0A110C0D0C0D080A0A0909090707090B13080A09090C09');
INSERT INTO device_search_data ("id", "block") VALUES (824633720833, X'000001B10230310902030101610A02020103643030030601010203013205060101020301330608010102040301340708010102040301350808010102040301360908010102040301370A08010102040301380B08010102040301390C08010102040108697374616E62756C0B020201076C616D706172610502020203696E650704020401036F6E650702030104706C7567080202010772656E616D656403060101040101730902020205656E736F720306010103030601010301060101030106010103010601010301060101030106010103010601010301037461620A02030202776F070205010AD985D8B5D8A8D8A7D8AD0302020107EFAC816C7465720C0202000331643003060101020206010102010801010204010801010204010801010204010801010204010801010204010801010204010801010204010269730B020201026C610502020201690704020401026F6E0702030102706C0802020102726503060101040102736503060101030306010103010601010301060101030106010103010601010301060101030106010103010274610A02030201770702050104D985D8B50302020104EFAC816C0C02020406060A08090909090909090D0C0908090E062F08070F0C390707070707092C070609');
INSERT INTO device_search_data ("id", "block") VALUES (962072674305, X'0000009304306465720206010104010468616C6C0208010106040205696E746572020601010302027562020802010102010269740206010109010173020601010A01037468650206010107020275720206010105000331646502060101040102686102080101060402016902060101030201750208020101020102697402060101090102746802060101070201750206010105040A0C0C0A09080A090A0A08090909');
INSERT INTO device_search_data ("id", "block") VALUES (1099511627777, X'0000018F0330303001060101120101310106010115020131010601011301016101060101190201610106010117010162010601011A0201620106010118010B6465636B656E6C616D7065010204010667726FC39F6501020201026964010601010901056B75636865010801011C04030465636865010601011B01046C616D70010E01010405060603050165010203020469676874010601011D01036D61630106010116030A6E756661637475726572010601010202046F64656C01080101050501066E756D626572010601010D01026F66010C010103050606010673657269616C010601010C010178010601011401037A6861010601011100033130300106010112010231310106010113010261610106010117010262620106010118010264650102040102677201020201026964010601010901026B75010A01011B030401026C6101100301010405060603020169010601011D01026D6101080101021602016F01080101050501026E75010601010D01026F66010C01010305060601027365010601010C01027A6801060101110409080808080808100B090D0B0F060B0A110C0D0C0D080A0A0909090707090B0E080A09090C09');
INSERT INTO device_search_data ("id", "block") VALUES (9007336693694464, X'04000000000000010000000000000000000000020000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000');
INSERT INTO device_search_data ("id", "block") VALUES (9007474132647936, X'04000000000000010000000000000001000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000');
INSERT INTO device_search_data ("id", "block") VALUES (9007611571601408, X'0400000000000009000000000000000000000000000000030000000000000005000000060000000700000008000000090000000A0000000B0000000C00000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000');
INSERT INTO device_search_data ("id", "block") VALUES (9007749010554880, X'04000000000000010000000000000000000000020000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000');
INSERT INTO device_search_data ("id", "block") VALUES (9007886449508352, X'04000000000000010000000000000001000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000');
DELETE FROM device_search_idx;
INSERT INTO device_search_idx ("segid", "term", "pgno") VALUES (1, X'', 2);
INSERT INTO device_search_idx ("segid", "term", "pgno") VALUES (2, X'', 2);
INSERT INTO device_search_idx ("segid", "term", "pgno") VALUES (3, X'', 2);
INSERT INTO device_search_idx ("segid", "term", "pgno") VALUES (4, X'', 2);
INSERT INTO device_search_idx ("segid", "term", "pgno") VALUES (5, X'', 2);
INSERT INTO device_search_idx ("segid", "term", "pgno") VALUES (6, X'', 2);
INSERT INTO device_search_idx ("segid", "term", "pgno") VALUES (7, X'', 2);
INSERT INTO device_search_idx ("segid", "term", "pgno") VALUES (8, X'', 2);
DELETE FROM device_search_docsize;
INSERT INTO device_search_docsize ("id", "sz", "origin") VALUES (1, X'031D', 8);
INSERT INTO device_search_docsize ("id", "sz", "origin") VALUES (2, X'0109', 7);
INSERT INTO device_search_docsize ("id", "sz", "origin") VALUES (3, X'0103', 6);
INSERT INTO device_search_docsize ("id", "sz", "origin") VALUES (5, X'0101', 6);
INSERT INTO device_search_docsize ("id", "sz", "origin") VALUES (6, X'0003', 6);
INSERT INTO device_search_docsize ("id", "sz", "origin") VALUES (7, X'0403', 6);
INSERT INTO device_search_docsize ("id", "sz", "origin") VALUES (8, X'0103', 6);
INSERT INTO device_search_docsize ("id", "sz", "origin") VALUES (9, X'0203', 6);
INSERT INTO device_search_docsize ("id", "sz", "origin") VALUES (10, X'0203', 6);
INSERT INTO device_search_docsize ("id", "sz", "origin") VALUES (11, X'0103', 6);
INSERT INTO device_search_docsize ("id", "sz", "origin") VALUES (12, X'0103', 6);
INSERT INTO device_search_docsize ("id", "sz", "origin") VALUES (13, X'0104', 4);
INSERT INTO device_search_docsize ("id", "sz", "origin") VALUES (15, X'0001', 5);
DELETE FROM device_search_config;
INSERT INTO device_search_config ("k", "v") VALUES ('version', 4);
DELETE FROM entity_search_data;
INSERT INTO entity_search_data ("id", "block") VALUES (1, X'0A1C3F');
INSERT INTO entity_search_data ("id", "block") VALUES (10, X'00000000FF000001010508000501010101010101010201010202000007030101030301010204010104040101010501010505000002');
INSERT INTO entity_search_data ("id", "block") VALUES (137438953473, X'000002040230310106010103010262790102030105636C617373010601010C010B6465636B656E6C616D70650106010113030476696365010601010B0204696D6D740106010110010667726FC39F650106010111010468616C6C010801011E04010269640106010105020174010601012101056B7563686501020B01046C616D70010A010116050605016501060101120204696768740112060503010102070506010C6D616E756661637475726572010601011402046F64656C010601011701046E616D65010402070205756D626572010601011B01026F660114050501010605060A05060108706C6174666F726D010601010801017301060101220205657269616C010601011A0103746865010601011F0106756E69717565010601010402037365720102040108D0BDD0BED187D18C010601010F00033162790102030102636C010601010C01026465010801010B0A020169010601011001026772010601011101026861010801011E04010269640106010105020174010601012101026B7501020B01026C61010C010112060506020169011206050301010207050601026D61010601011402016F010601011701026E6101040207020175010601011B01026F660114050501010605060A05060102706C010601010801027365010601011A01027468010601011F0102756E01060101040201730102040104D0BDD0BE010601010F0408070C120B0B0D0C09080A0D0811130B0A0C100F080C0A0D080F08090A08090A0908070C0E09080808100909090906');
INSERT INTO entity_search_data ("id", "block") VALUES (274877906945, X'000001E302303109060101050101610A0601010401036430340702030301350802030301360902030301370A02030301380B02030301390C020301036530340706010102030135080601010203013609060101020301370A060101020301380B060101020301390C060101020108697374616E62756C0B0601010401046C696E6507080101040401036F6E65070601010503026C7902060101030104706C7567080601010401017309060101040205656E736F7207020201020201020201020201020201020202047461746502060101020202756E0204020301037461620A060101050202776F070601010701037A68610706010103010601010301060101030106010103010601010301060101030107EFAC816C7465720C06010104000331643007020301020301020301020301020301020301026530070601010201060101020106010102010601010201060101020106010102010269730B0601010401026C6907080101040401026F6E020601010305060101050102706C080601010401027365070202010202010202010202010202010202020174020601010202017502040203010274610A06010105020177070601010701027A680706010103010601010301060101030106010103010601010301060101030104EFAC816C0C060101040408080806060606060A08080808080F0C0A090B08190B080A09230E1722090A0E09160807090822');
INSERT INTO entity_search_data ("id", "block") VALUES (412316860417, X'000002430230310106010103010262790102030105636C617373010601010C0103643033060203020A65636B656E6C616D70650106010113030476696365010601010B0204696D6D74010601011001036530330606010102010667726FC39F650106010111010468616C6C010801011E04010269640106010105020174010601012101056B7563686501020B01046C616D70010A010116050605016501060101120204696768740112060503010102070506010C6D616E756661637475726572010601011402046F64656C010601011701046E616D65010402070205756D626572010601011B01026F660114050501010605060A05060108706C6174666F726D010601010801017301060101220205656E736F7206020203047269616C010601011A0103746865010601011F0106756E697175650106010104020373657201020401037A686106060101030108D0BDD0BED187D18C010601010F00033162790102030102636C010601010C01026430060203020165010801010B0A020169010601011001026530060601010201026772010601011101026861010801011E04010269640106010105020174010601012101026B7501020B01026C61010C010112060506020169011206050301010207050601026D61010601011402016F010601011701026E6101040207020175010601011B01026F660114050501010605060A05060102706C010601010801027365010601011A05020201027468010601011F0102756E010601010402017301020401027A6806060101030104D0BDD0BE010601010F0408070C08110B0B0A0D0C09080A0D0811130B0A0C100F080A0B0A0D080A0F080907090809090A0908070C0E0908080810090C09090609');
INSERT INTO entity_search_data ("id", "block") VALUES (549755813889, X'0000006C04306530300306010102010772656E616D6564030203010673656E736F7203020201037A68610306010103010AD985D8B5D8A8D8A7D8AD030601010400033165300306010102010272650302030102736503020201027A6803060101030104D985D8B50306010104040A0C0B0A110A070709');
INSERT INTO entity_search_data ("id", "block") VALUES (687194767361, X'000002650230310106010103010262790102030105636C617373010601010C010B6465636B656E6C616D70650106010113030476696365010601010B0204696D6D74010601011001036530300306010102010667726FC39F650106010111010468616C6C010801011E04010269640106010105020174010601012101056B7563686501020B01046C616D70010A010116050605016501060101120204696768740112060503010102070506010C6D616E756661637475726572010601011402046F64656C010601011701046E616D65010402070205756D626572010601011B01026F660114050501010605060A05060108706C6174666F726D0106010108010772656E616D656403020301017301060101220205656E736F7203020203047269616C010601011A0103746865010601011F0106756E697175650106010104020373657201020401037A686103060101030108D0BDD0BED187D18C010601010F010AD985D8B5D8A8D8A7D8AD030601010400033162790102030102636C010601010C01026465010801010B0A020169010601011001026530030601010201026772010601011101026861010801011E04010269640106010105020174010601012101026B7501020B01026C61010C010112060506020169011206050301010207050601026D61010601011402016F010601011701026E6101040207020175010601011B01026F660114050501010605060A05060102706C01060101080102726503020301027365010601011A02020201027468010601011F0102756E010601010402017301020401027A6803060101030104D0BDD0BE010601010F0104D985D8B503060101040408070C120B0B0A0D0C09080A0D0811130B0A0C100F0C080A0B0A0D080A0F1108090A0809090A0908070C0E090808081009070C090906090B');
INSERT INTO entity_search_data ("id", "block") VALUES (9007336693694464, X'04000000000000010000000000000001000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000');
INSERT INTO entity_search_data ("id", "block") VALUES (9007611571601408, X'04000000000000010000000000000001000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000');
INSERT INTO entity_search_data ("id", "block") VALUES (9007749010554880, X'04000000000000010000000000000000000000000000000300000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000');
DELETE FROM entity_search_idx;
INSERT INTO entity_search_idx ("segid", "term", "pgno") VALUES (1, X'', 2);
INSERT INTO entity_search_idx ("segid", "term", "pgno") VALUES (2, X'', 2);
INSERT INTO entity_search_idx ("segid", "term", "pgno") VALUES (3, X'', 2);
INSERT INTO entity_search_idx ("segid", "term", "pgno") VALUES (4, X'', 2);
INSERT INTO entity_search_idx ("segid", "term", "pgno") VALUES (5, X'', 2);
DELETE FROM entity_search_docsize;
INSERT INTO entity_search_docsize ("id", "sz", "origin") VALUES (1, X'0A21', 5);
INSERT INTO entity_search_docsize ("id", "sz", "origin") VALUES (2, X'0202', 2);
INSERT INTO entity_search_docsize ("id", "sz", "origin") VALUES (3, X'0203', 5);
INSERT INTO entity_search_docsize ("id", "sz", "origin") VALUES (6, X'0202', 3);
INSERT INTO entity_search_docsize ("id", "sz", "origin") VALUES (7, X'0206', 2);
INSERT INTO entity_search_docsize ("id", "sz", "origin") VALUES (8, X'0203', 2);
INSERT INTO entity_search_docsize ("id", "sz", "origin") VALUES (9, X'0204', 2);
INSERT INTO entity_search_docsize ("id", "sz", "origin") VALUES (10, X'0204', 2);
INSERT INTO entity_search_docsize ("id", "sz", "origin") VALUES (11, X'0203', 2);
INSERT INTO entity_search_docsize ("id", "sz", "origin") VALUES (12, X'0203', 2);
DELETE FROM entity_search_config;
INSERT INTO entity_search_config ("k", "v") VALUES ('version', 4);
CREATE INDEX ix_sync_runs_source_id ON sync_runs (source_id, started_at);
CREATE INDEX ix_areas_area_id ON areas (area_id, source_id);
CREATE INDEX ix_devices_name ON devices (removed_at, name);
CREATE INDEX ix_devices_manufacturer ON devices (removed_at, manufacturer);
CREATE INDEX ix_devices_model ON devices (removed_at, model);
CREATE INDEX ix_devices_area_id ON devices (removed_at, area_id);
CREATE INDEX ix_devices_integration ON devices (removed_at, integration);
CREATE INDEX ix_devices_source_id ON devices (removed_at, source_id);
CREATE INDEX ix_devices_disabled_by ON devices (removed_at, disabled_by);
CREATE INDEX ix_devices_created_at ON devices (removed_at, created_at);
CREATE INDEX ix_devices_modified_at ON devices (removed_at, modified_at);
CREATE INDEX ix_entities_entity_id ON entities (removed_at, entity_id);
CREATE INDEX ix_entities_name ON entities (removed_at, name);
CREATE INDEX ix_entities_domain ON entities (removed_at, domain);
CREATE INDEX ix_entities_platform ON entities (removed_at, platform);
CREATE INDEX ix_entities_area_id ON entities (removed_at, area_id);
CREATE INDEX ix_entities_source_id ON entities (removed_at, source_id);
CREATE INDEX ix_entities_disabled_by ON entities (removed_at, disabled_by);
CREATE INDEX ix_entities_created_at ON entities (removed_at, created_at);
CREATE INDEX ix_entities_modified_at ON entities (removed_at, modified_at);
CREATE INDEX ix_entities_of_device ON entities (device_id, removed_at);
CREATE UNIQUE INDEX uq_entities_source_id_entity_id ON entities (source_id, entity_id) WHERE removed_at IS NULL;
CREATE INDEX ix_sightings_last_seen ON sightings (last_seen);
CREATE INDEX ix_device_ids_device_id ON device_ids (device_id);
CREATE INDEX ix_changes_key ON changes (kind, "key");
CREATE INDEX ix_changes_run_id ON changes (run_id) WHERE run_id IS NOT NULL;
CREATE INDEX ix_idempotency_keys_kept_at ON idempotency_keys (kept_at);

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
	created_at TEXT NOT NULL, 
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
CREATE TABLE devices (
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
	extra TEXT NOT NULL, 
	first_listed_at TEXT NOT NULL, 
	last_listed_at TEXT, 
	removed_at TEXT, 
	created_at TEXT NOT NULL, 
	modified_at TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	CONSTRAINT pk_devices PRIMARY KEY (device_id), 
	CONSTRAINT ck_devices_ck_devices_device_id_length CHECK (length(device_id) BETWEEN 1 AND 255), 
	CONSTRAINT fk_devices_source_id FOREIGN KEY(source_id) REFERENCES sources (source_id)
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
CREATE TABLE entities (
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
	extra TEXT NOT NULL, 
	first_listed_at TEXT NOT NULL, 
	last_listed_at TEXT, 
	removed_at TEXT, 
	created_at TEXT NOT NULL, 
	modified_at TEXT NOT NULL, 
	version INTEGER NOT NULL, 
	CONSTRAINT pk_entities PRIMARY KEY (id), 
	CONSTRAINT fk_entities_device_id FOREIGN KEY(device_id) REFERENCES devices (device_id), 
	CONSTRAINT fk_entities_source_id FOREIGN KEY(source_id) REFERENCES sources (source_id)
)
 STRICT

;
CREATE TABLE sightings (
	device_id TEXT NOT NULL, 
	last_seen TEXT NOT NULL, 
	seen_by TEXT NOT NULL, 
	CONSTRAINT pk_sightings PRIMARY KEY (device_id), 
	CONSTRAINT fk_sightings_device_id FOREIGN KEY(device_id) REFERENCES devices (device_id)
)
 STRICT

;
INSERT INTO alembic_version ("version_num") VALUES ('0001');
INSERT INTO sources ("source_id", "kind", "name", "state", "last_sync_at", "last_error", "extra", "created_at") VALUES ('home', 'home_assistant', 'Zuhause ☕', 'ok', '2026-03-31T08:30:00.123456Z', NULL, '{"version":"2026.3.1","floors":[{"floor_id":"eg"}]}', '2026-03-11T08:30:00.123456Z');
INSERT INTO sources ("source_id", "kind", "name", "state", "last_sync_at", "last_error", "extra", "created_at") VALUES ('manual', 'manual', 'Added by hand', 'never', NULL, NULL, '{}', '2026-03-11T09:30:00.123456Z');
INSERT INTO sources ("source_id", "kind", "name", "state", "last_sync_at", "last_error", "extra", "created_at") VALUES ('cabin', 'file', 'Cabin', 'error', '2026-04-01T08:30:00.123456Z', 'it does not answer', '{}', '2026-04-01T08:30:00.123456Z');
INSERT INTO areas ("source_id", "area_id", "name", "floor_id", "aliases", "labels", "extra", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES ('home', 'kueche', 'Küche', 'eg', '["Kochen","台所"]', '["warm"]', '{}', '2026-03-11T08:30:00.123456Z', NULL, NULL, '2026-03-11T08:30:00.123456Z', '2026-03-11T08:30:00.123456Z', 1);
INSERT INTO areas ("source_id", "area_id", "name", "floor_id", "aliases", "labels", "extra", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES ('home', 'hall', 'The "Hall" \ it''s', NULL, '[]', '[]', '{}', '2026-03-11T08:30:00.123456Z', '2026-03-31T08:30:00.123456Z', '2026-03-31T08:30:00.123456Z', '2026-03-01T08:30:00.123456Z', '2026-03-31T08:30:00.123456Z', 2);
INSERT INTO devices ("device_id", "source_id", "name", "name_by_user", "manufacturer", "model", "model_id", "area_id", "integration", "sw_version", "hw_version", "serial_number", "entry_type", "configuration_url", "via_device_id", "parent_device_id", "disabled_by", "labels", "identifiers", "connections", "extra", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES ('lamp', 'home', 'Deckenlampe', 'Große Lampe', 'manufacturer of lamp', 'model of lamp', 'model_id of lamp', 'kueche', 'integration of lamp', '2.0', 'hw_version of lamp', 'serial_number of lamp', 'service', 'configuration_url of lamp', 'hub', 'parent_device_id of lamp', 'user', '["a","b"]', '[["zha","00:11"],["x",1]]', '[["mac","aa:bb"]]', '{"primary":null,"deep":{"n":[1,2.5,1e+21,true,"ü"]}}', '2026-03-11T08:30:00.123456Z', NULL, NULL, '2026-03-01T08:30:00.123456Z', '2026-03-21T08:30:00.123456Z', 2);
INSERT INTO devices ("device_id", "source_id", "name", "name_by_user", "manufacturer", "model", "model_id", "area_id", "integration", "sw_version", "hw_version", "serial_number", "entry_type", "configuration_url", "via_device_id", "parent_device_id", "disabled_by", "labels", "identifiers", "connections", "extra", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES ('hub', 'home', 'Hub', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '[]', '[]', '{}', '2026-03-11T08:30:00.123456Z', NULL, NULL, '2026-03-01T08:30:00.123456Z', '2026-03-01T08:30:00.123456Z', 1);
INSERT INTO devices ("device_id", "source_id", "name", "name_by_user", "manufacturer", "model", "model_id", "area_id", "integration", "sw_version", "hw_version", "serial_number", "entry_type", "configuration_url", "via_device_id", "parent_device_id", "disabled_by", "labels", "identifiers", "connections", "extra", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES ('d00', 'home', 'مصباح', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '[]', '[]', '{}', '2026-03-11T08:30:00.123456Z', NULL, NULL, '2026-03-11T08:30:00.123456Z', '2026-03-11T08:30:00.123456Z', 1);
INSERT INTO devices ("device_id", "source_id", "name", "name_by_user", "manufacturer", "model", "model_id", "area_id", "integration", "sw_version", "hw_version", "serial_number", "entry_type", "configuration_url", "via_device_id", "parent_device_id", "disabled_by", "labels", "identifiers", "connections", "extra", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES ('d01', 'home', 'ランプ', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '[]', '[]', '{}', '2026-03-11T08:30:00.123456Z', '2026-03-31T08:30:00.123456Z', '2026-03-31T08:30:00.123456Z', '2026-03-11T08:30:00.123456Z', '2026-03-31T08:30:00.123456Z', 2);
INSERT INTO devices ("device_id", "source_id", "name", "name_by_user", "manufacturer", "model", "model_id", "area_id", "integration", "sw_version", "hw_version", "serial_number", "entry_type", "configuration_url", "via_device_id", "parent_device_id", "disabled_by", "labels", "identifiers", "connections", "extra", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES ('d02', 'home', 'Lámpara', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '[]', '[]', '{}', '2026-03-11T08:30:00.123456Z', NULL, NULL, '2026-03-11T08:30:00.123456Z', '2026-03-11T08:30:00.123456Z', 1);
INSERT INTO devices ("device_id", "source_id", "name", "name_by_user", "manufacturer", "model", "model_id", "area_id", "integration", "sw_version", "hw_version", "serial_number", "entry_type", "configuration_url", "via_device_id", "parent_device_id", "disabled_by", "labels", "identifiers", "connections", "extra", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES ('d03', 'home', '', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '[]', '[]', '{}', '2026-03-11T08:30:00.123456Z', NULL, NULL, '2026-03-11T08:30:00.123456Z', '2026-03-11T08:30:00.123456Z', 1);
INSERT INTO devices ("device_id", "source_id", "name", "name_by_user", "manufacturer", "model", "model_id", "area_id", "integration", "sw_version", "hw_version", "serial_number", "entry_type", "configuration_url", "via_device_id", "parent_device_id", "disabled_by", "labels", "identifiers", "connections", "extra", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES ('d04', 'home', 'line one
line two', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '[]', '[]', '{}', '2026-03-11T08:30:00.123456Z', NULL, NULL, '2026-03-11T08:30:00.123456Z', '2026-03-11T08:30:00.123456Z', 1);
INSERT INTO devices ("device_id", "source_id", "name", "name_by_user", "manufacturer", "model", "model_id", "area_id", "integration", "sw_version", "hw_version", "serial_number", "entry_type", "configuration_url", "via_device_id", "parent_device_id", "disabled_by", "labels", "identifiers", "connections", "extra", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES ('d05', 'home', '🔌 plug', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '[]', '[]', '{}', '2026-03-11T08:30:00.123456Z', NULL, NULL, '2026-03-11T08:30:00.123456Z', '2026-03-11T08:30:00.123456Z', 1);
INSERT INTO devices ("device_id", "source_id", "name", "name_by_user", "manufacturer", "model", "model_id", "area_id", "integration", "sw_version", "hw_version", "serial_number", "entry_type", "configuration_url", "via_device_id", "parent_device_id", "disabled_by", "labels", "identifiers", "connections", "extra", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES ('d06', 'home', '%s $1 ?', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '[]', '[]', '{}', '2026-03-11T08:30:00.123456Z', NULL, NULL, '2026-03-11T08:30:00.123456Z', '2026-03-11T08:30:00.123456Z', 1);
INSERT INTO devices ("device_id", "source_id", "name", "name_by_user", "manufacturer", "model", "model_id", "area_id", "integration", "sw_version", "hw_version", "serial_number", "entry_type", "configuration_url", "via_device_id", "parent_device_id", "disabled_by", "labels", "identifiers", "connections", "extra", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES ('d07', 'home', 'a	tab', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '[]', '[]', '{}', '2026-03-11T08:30:00.123456Z', NULL, NULL, '2026-03-11T08:30:00.123456Z', '2026-03-11T08:30:00.123456Z', 1);
INSERT INTO devices ("device_id", "source_id", "name", "name_by_user", "manufacturer", "model", "model_id", "area_id", "integration", "sw_version", "hw_version", "serial_number", "entry_type", "configuration_url", "via_device_id", "parent_device_id", "disabled_by", "labels", "identifiers", "connections", "extra", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES ('d08', 'home', 'İstanbul', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '[]', '[]', '{}', '2026-03-11T08:30:00.123456Z', NULL, NULL, '2026-03-11T08:30:00.123456Z', '2026-03-11T08:30:00.123456Z', 1);
INSERT INTO devices ("device_id", "source_id", "name", "name_by_user", "manufacturer", "model", "model_id", "area_id", "integration", "sw_version", "hw_version", "serial_number", "entry_type", "configuration_url", "via_device_id", "parent_device_id", "disabled_by", "labels", "identifiers", "connections", "extra", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES ('d09', 'home', 'ﬁlter', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '[]', '[]', '{}', '2026-03-11T08:30:00.123456Z', NULL, NULL, '2026-03-11T08:30:00.123456Z', '2026-03-11T08:30:00.123456Z', 1);
INSERT INTO devices ("device_id", "source_id", "name", "name_by_user", "manufacturer", "model", "model_id", "area_id", "integration", "sw_version", "hw_version", "serial_number", "entry_type", "configuration_url", "via_device_id", "parent_device_id", "disabled_by", "labels", "identifiers", "connections", "extra", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES ('boiler', 'manual', 'Boiler', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '["warm"]', '[]', '[]', '{}', '2026-03-11T09:30:00.123456Z', NULL, NULL, '2026-03-11T09:30:00.123456Z', '2026-03-11T09:30:00.123456Z', 1);
INSERT INTO devices ("device_id", "source_id", "name", "name_by_user", "manufacturer", "model", "model_id", "area_id", "integration", "sw_version", "hw_version", "serial_number", "entry_type", "configuration_url", "via_device_id", "parent_device_id", "disabled_by", "labels", "identifiers", "connections", "extra", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES ('sold', 'manual', 'Sold', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '[]', '[]', '{}', '2026-03-11T09:30:00.123456Z', '2026-03-11T10:30:00.123456Z', '2026-03-11T10:30:00.123456Z', '2026-03-11T09:30:00.123456Z', '2026-03-11T10:30:00.123456Z', 2);
INSERT INTO devices ("device_id", "source_id", "name", "name_by_user", "manufacturer", "model", "model_id", "area_id", "integration", "sw_version", "hw_version", "serial_number", "entry_type", "configuration_url", "via_device_id", "parent_device_id", "disabled_by", "labels", "identifiers", "connections", "extra", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES ('late', 'home', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '[]', '[]', '{}', '2026-03-31T08:30:00.123456Z', NULL, NULL, '2026-03-31T08:30:00.123456Z', '2026-03-31T08:30:00.123456Z', 1);
INSERT INTO sync_runs ("run_id", "source_id", "started_at", "finished_at", "counts", "outcome", "guard") VALUES ('00000000000000000000000000000001', 'home', '2026-03-11T08:30:00.123456Z', '2026-03-11T08:30:00.123456Z', '{"areas":{"create":2,"update":0,"restore":0,"remove":0,"unchanged":0},"devices":{"create":12,"update":0,"restore":0,"remove":0,"unchanged":0},"entities":{"create":12,"update":0,"restore":0,"remove":0,"unchanged":0}}', 'ok', NULL);
INSERT INTO sync_runs ("run_id", "source_id", "started_at", "finished_at", "counts", "outcome", "guard") VALUES ('00000000000000000000000000000002', 'home', '2026-03-31T08:30:00.123456Z', '2026-03-31T08:30:00.123456Z', '{"areas":{"create":0,"update":0,"restore":0,"remove":1,"unchanged":1},"devices":{"create":1,"update":1,"restore":0,"remove":1,"unchanged":10},"entities":{"create":0,"update":1,"restore":0,"remove":2,"unchanged":9}}', 'ok', 'removals allowed by hand');
INSERT INTO sync_runs ("run_id", "source_id", "started_at", "finished_at", "counts", "outcome", "guard") VALUES ('00000000000000000000000000000003', 'cabin', '2026-04-01T08:30:00.123456Z', '2026-04-01T08:30:00.123456Z', '{"areas":{"create":0,"update":0,"restore":0,"remove":0,"unchanged":0},"devices":{"create":0,"update":0,"restore":0,"remove":0,"unchanged":0},"entities":{"create":0,"update":0,"restore":0,"remove":0,"unchanged":0}}', 'ok', NULL);
INSERT INTO device_ids ("old_id", "device_id", "reason", "moved_at") VALUES ('composite', 'lamp', 'split by its source', '2026-03-11T08:30:00.123456Z');
INSERT INTO device_ids ("old_id", "device_id", "reason", "moved_at") VALUES ('second', 'hub', 'split by its source', '2026-03-31T08:30:00.123456Z');
INSERT INTO entities ("id", "entity_id", "source_id", "device_id", "domain", "platform", "unique_id", "name", "name_by_user", "area_id", "disabled_by", "hidden_by", "entity_category", "device_class", "labels", "extra", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES ('light-1', 'light.küche', 'home', 'lamp', 'light', 'platform of light', 'unique_id of light', 'name of light', 'name_by_user of light', 'area_id of light', 'disabled_by of light', 'hidden_by of light', 'entity_category of light', 'device_class of light', '["ночь"]', '{"options":{"sensor":{"precision":2}}}', '2026-03-11T08:30:00.123456Z', NULL, NULL, '2026-03-01T08:30:00.123456Z', '2026-03-01T08:30:00.123456Z', 1);
INSERT INTO entities ("id", "entity_id", "source_id", "device_id", "domain", "platform", "unique_id", "name", "name_by_user", "area_id", "disabled_by", "hidden_by", "entity_category", "device_class", "labels", "extra", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES ('state-only', 'sun.sun', 'home', NULL, 'sun', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '{}', '2026-03-11T08:30:00.123456Z', NULL, NULL, '2026-03-11T08:30:00.123456Z', '2026-03-11T08:30:00.123456Z', 1);
INSERT INTO entities ("id", "entity_id", "source_id", "device_id", "domain", "platform", "unique_id", "name", "name_by_user", "area_id", "disabled_by", "hidden_by", "entity_category", "device_class", "labels", "extra", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES ('e00', 'sensor.renamed', 'home', 'd00', 'sensor', 'zha', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '{}', '2026-03-11T08:30:00.123456Z', NULL, NULL, '2026-03-11T08:30:00.123456Z', '2026-03-31T08:30:00.123456Z', 2);
INSERT INTO entities ("id", "entity_id", "source_id", "device_id", "domain", "platform", "unique_id", "name", "name_by_user", "area_id", "disabled_by", "hidden_by", "entity_category", "device_class", "labels", "extra", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES ('e01', 'sensor.d01', 'home', 'd01', 'sensor', 'zha', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '{}', '2026-03-11T08:30:00.123456Z', '2026-03-31T08:30:00.123456Z', '2026-03-31T08:30:00.123456Z', '2026-03-11T08:30:00.123456Z', '2026-03-31T08:30:00.123456Z', 2);
INSERT INTO entities ("id", "entity_id", "source_id", "device_id", "domain", "platform", "unique_id", "name", "name_by_user", "area_id", "disabled_by", "hidden_by", "entity_category", "device_class", "labels", "extra", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES ('e02', 'sensor.d02', 'home', 'd02', 'sensor', 'zha', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '{}', '2026-03-11T08:30:00.123456Z', '2026-03-31T08:30:00.123456Z', '2026-03-31T08:30:00.123456Z', '2026-03-11T08:30:00.123456Z', '2026-03-31T08:30:00.123456Z', 2);
INSERT INTO entities ("id", "entity_id", "source_id", "device_id", "domain", "platform", "unique_id", "name", "name_by_user", "area_id", "disabled_by", "hidden_by", "entity_category", "device_class", "labels", "extra", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES ('e03', 'sensor.d03', 'home', 'd03', 'sensor', 'zha', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '{}', '2026-03-11T08:30:00.123456Z', NULL, NULL, '2026-03-11T08:30:00.123456Z', '2026-03-11T08:30:00.123456Z', 1);
INSERT INTO entities ("id", "entity_id", "source_id", "device_id", "domain", "platform", "unique_id", "name", "name_by_user", "area_id", "disabled_by", "hidden_by", "entity_category", "device_class", "labels", "extra", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES ('e04', 'sensor.d04', 'home', 'd04', 'sensor', 'zha', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '{}', '2026-03-11T08:30:00.123456Z', NULL, NULL, '2026-03-11T08:30:00.123456Z', '2026-03-11T08:30:00.123456Z', 1);
INSERT INTO entities ("id", "entity_id", "source_id", "device_id", "domain", "platform", "unique_id", "name", "name_by_user", "area_id", "disabled_by", "hidden_by", "entity_category", "device_class", "labels", "extra", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES ('e05', 'sensor.d05', 'home', 'd05', 'sensor', 'zha', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '{}', '2026-03-11T08:30:00.123456Z', NULL, NULL, '2026-03-11T08:30:00.123456Z', '2026-03-11T08:30:00.123456Z', 1);
INSERT INTO entities ("id", "entity_id", "source_id", "device_id", "domain", "platform", "unique_id", "name", "name_by_user", "area_id", "disabled_by", "hidden_by", "entity_category", "device_class", "labels", "extra", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES ('e06', 'sensor.d06', 'home', 'd06', 'sensor', 'zha', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '{}', '2026-03-11T08:30:00.123456Z', NULL, NULL, '2026-03-11T08:30:00.123456Z', '2026-03-11T08:30:00.123456Z', 1);
INSERT INTO entities ("id", "entity_id", "source_id", "device_id", "domain", "platform", "unique_id", "name", "name_by_user", "area_id", "disabled_by", "hidden_by", "entity_category", "device_class", "labels", "extra", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES ('e07', 'sensor.d07', 'home', 'd07', 'sensor', 'zha', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '{}', '2026-03-11T08:30:00.123456Z', NULL, NULL, '2026-03-11T08:30:00.123456Z', '2026-03-11T08:30:00.123456Z', 1);
INSERT INTO entities ("id", "entity_id", "source_id", "device_id", "domain", "platform", "unique_id", "name", "name_by_user", "area_id", "disabled_by", "hidden_by", "entity_category", "device_class", "labels", "extra", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES ('e08', 'sensor.d08', 'home', 'd08', 'sensor', 'zha', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '{}', '2026-03-11T08:30:00.123456Z', NULL, NULL, '2026-03-11T08:30:00.123456Z', '2026-03-11T08:30:00.123456Z', 1);
INSERT INTO entities ("id", "entity_id", "source_id", "device_id", "domain", "platform", "unique_id", "name", "name_by_user", "area_id", "disabled_by", "hidden_by", "entity_category", "device_class", "labels", "extra", "first_listed_at", "last_listed_at", "removed_at", "created_at", "modified_at", "version") VALUES ('e09', 'sensor.d09', 'home', 'd09', 'sensor', 'zha', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '{}', '2026-03-11T08:30:00.123456Z', NULL, NULL, '2026-03-11T08:30:00.123456Z', '2026-03-11T08:30:00.123456Z', 1);
INSERT INTO sightings ("device_id", "last_seen", "seen_by") VALUES ('lamp', '2026-03-11T08:30:00.123456Z', 'home');
INSERT INTO sightings ("device_id", "last_seen", "seen_by") VALUES ('d02', '2026-03-01T08:30:00.123456Z', 'home');
INSERT INTO sightings ("device_id", "last_seen", "seen_by") VALUES ('boiler', '2026-03-11T08:30:01.123456Z', 'home');
CREATE INDEX ix_areas_area_id_source_id ON areas (area_id, source_id, removed_at) WHERE removed_at IS NULL;
CREATE INDEX ix_devices_area_id_device_id ON devices (area_id, device_id, removed_at) WHERE removed_at IS NULL;
CREATE INDEX ix_devices_device_id ON devices (device_id, removed_at) WHERE removed_at IS NULL;
CREATE INDEX ix_devices_disabled_device_id ON devices (disabled, device_id, removed_at) WHERE removed_at IS NULL;
CREATE INDEX ix_devices_integration_device_id ON devices (integration, device_id, removed_at) WHERE removed_at IS NULL;
CREATE INDEX ix_devices_manufacturer_device_id ON devices (manufacturer, device_id, removed_at) WHERE removed_at IS NULL;
CREATE INDEX ix_devices_model_device_id ON devices (model, device_id, removed_at) WHERE removed_at IS NULL;
CREATE INDEX ix_devices_removed ON devices (source_id, device_id) WHERE removed_at IS NOT NULL;
CREATE INDEX ix_devices_source_id_device_id ON devices (source_id, device_id, removed_at) WHERE removed_at IS NULL;
CREATE INDEX ix_sync_runs_source_id ON sync_runs (source_id, started_at);
CREATE INDEX ix_device_ids_device_id ON device_ids (device_id);
CREATE INDEX ix_entities_area_id_entity_id_id ON entities (area_id, entity_id, id, removed_at) WHERE removed_at IS NULL;
CREATE INDEX ix_entities_device_id_entity_id_id ON entities (device_id, entity_id, id, removed_at) WHERE removed_at IS NULL;
CREATE INDEX ix_entities_disabled_entity_id_id ON entities (disabled, entity_id, id, removed_at) WHERE removed_at IS NULL;
CREATE INDEX ix_entities_domain_entity_id_id ON entities (domain, entity_id, id, removed_at) WHERE removed_at IS NULL;
CREATE INDEX ix_entities_entity_id_id ON entities (entity_id, id, removed_at) WHERE removed_at IS NULL;
CREATE INDEX ix_entities_platform_entity_id_id ON entities (platform, entity_id, id, removed_at) WHERE removed_at IS NULL;
CREATE INDEX ix_entities_removed ON entities (source_id, id) WHERE removed_at IS NOT NULL;
CREATE UNIQUE INDEX uq_entities_source_id_entity_id ON entities (source_id, entity_id) WHERE removed_at IS NULL;
CREATE INDEX ix_sightings_last_seen ON sightings (last_seen, device_id);

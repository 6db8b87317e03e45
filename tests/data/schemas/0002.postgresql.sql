-- PostgreSQL database dump
-- Name: homedex_casefold(text); Type: FUNCTION; Schema: public; Owner: -
CREATE FUNCTION public.homedex_casefold(text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN casefold(($1 COLLATE pg_unicode_fast));
-- Name: alembic_version; Type: TABLE; Schema: public; Owner: -
CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);
-- Name: areas; Type: TABLE; Schema: public; Owner: -
CREATE TABLE public.areas (
    source_id text NOT NULL COLLATE pg_catalog."C",
    area_id text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL COLLATE pg_catalog."C",
    floor_id text COLLATE pg_catalog."C",
    aliases json NOT NULL,
    labels json NOT NULL,
    extra json NOT NULL,
    first_listed_at timestamp with time zone NOT NULL,
    last_listed_at timestamp with time zone,
    removed_at timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    modified_at timestamp with time zone NOT NULL,
    version integer NOT NULL
);
-- Name: changes; Type: TABLE; Schema: public; Owner: -
CREATE TABLE public.changes (
    seq bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    kind text NOT NULL COLLATE pg_catalog."C",
    source_id text NOT NULL COLLATE pg_catalog."C",
    key text NOT NULL COLLATE pg_catalog."C",
    action text NOT NULL COLLATE pg_catalog."C",
    before json,
    after json,
    actor text NOT NULL COLLATE pg_catalog."C",
    run_id text COLLATE pg_catalog."C",
    request_id text COLLATE pg_catalog."C",
    CONSTRAINT ck_changes_ck_changes_action CHECK ((action = ANY (ARRAY['create'::text, 'update'::text, 'remove'::text, 'restore'::text, 'rename'::text, 'move'::text]))),
    CONSTRAINT ck_changes_ck_changes_kind CHECK ((kind = ANY (ARRAY['source'::text, 'area'::text, 'device'::text, 'entity'::text])))
);
-- Name: device_ids; Type: TABLE; Schema: public; Owner: -
CREATE TABLE public.device_ids (
    old_id text NOT NULL COLLATE pg_catalog."C",
    device_id text NOT NULL COLLATE pg_catalog."C",
    reason text NOT NULL COLLATE pg_catalog."C",
    moved_at timestamp with time zone NOT NULL
);
-- Name: device_search; Type: TABLE; Schema: public; Owner: -
CREATE TABLE public.device_search (
    rowid bigint NOT NULL,
    document tsvector NOT NULL
);
-- Name: devices; Type: TABLE; Schema: public; Owner: -
CREATE TABLE public.devices (
    number bigint NOT NULL,
    device_id text NOT NULL COLLATE pg_catalog."C",
    source_id text NOT NULL COLLATE pg_catalog."C",
    name text COLLATE pg_catalog."C",
    name_by_user text COLLATE pg_catalog."C",
    manufacturer text COLLATE pg_catalog."C",
    model text COLLATE pg_catalog."C",
    model_id text COLLATE pg_catalog."C",
    area_id text COLLATE pg_catalog."C",
    integration text COLLATE pg_catalog."C",
    sw_version text COLLATE pg_catalog."C",
    hw_version text COLLATE pg_catalog."C",
    serial_number text COLLATE pg_catalog."C",
    entry_type text COLLATE pg_catalog."C",
    configuration_url text COLLATE pg_catalog."C",
    via_device_id text COLLATE pg_catalog."C",
    parent_device_id text COLLATE pg_catalog."C",
    disabled_by text COLLATE pg_catalog."C",
    disabled boolean GENERATED ALWAYS AS ((disabled_by IS NOT NULL)) STORED NOT NULL,
    labels json NOT NULL,
    identifiers json NOT NULL,
    connections json NOT NULL,
    note text COLLATE pg_catalog."C",
    extra json NOT NULL,
    source_values json NOT NULL,
    first_listed_at timestamp with time zone NOT NULL,
    last_listed_at timestamp with time zone,
    removed_at timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    modified_at timestamp with time zone NOT NULL,
    version integer NOT NULL,
    CONSTRAINT ck_devices_ck_devices_device_id_length CHECK (((length(device_id) >= 1) AND (length(device_id) <= 255)))
);
-- Name: entities; Type: TABLE; Schema: public; Owner: -
CREATE TABLE public.entities (
    number bigint NOT NULL,
    id text NOT NULL COLLATE pg_catalog."C",
    entity_id text NOT NULL COLLATE pg_catalog."C",
    source_id text NOT NULL COLLATE pg_catalog."C",
    device_id text COLLATE pg_catalog."C",
    domain text NOT NULL COLLATE pg_catalog."C",
    platform text COLLATE pg_catalog."C",
    unique_id text COLLATE pg_catalog."C",
    name text COLLATE pg_catalog."C",
    name_by_user text COLLATE pg_catalog."C",
    area_id text COLLATE pg_catalog."C",
    disabled_by text COLLATE pg_catalog."C",
    disabled boolean GENERATED ALWAYS AS ((disabled_by IS NOT NULL)) STORED NOT NULL,
    hidden_by text COLLATE pg_catalog."C",
    entity_category text COLLATE pg_catalog."C",
    device_class text COLLATE pg_catalog."C",
    labels json NOT NULL,
    note text COLLATE pg_catalog."C",
    extra json NOT NULL,
    source_values json NOT NULL,
    first_listed_at timestamp with time zone NOT NULL,
    last_listed_at timestamp with time zone,
    removed_at timestamp with time zone,
    created_at timestamp with time zone NOT NULL,
    modified_at timestamp with time zone NOT NULL,
    version integer NOT NULL
);
-- Name: entity_search; Type: TABLE; Schema: public; Owner: -
CREATE TABLE public.entity_search (
    rowid bigint NOT NULL,
    document tsvector NOT NULL
);
-- Name: idempotency_keys; Type: TABLE; Schema: public; Owner: -
CREATE TABLE public.idempotency_keys (
    key text NOT NULL COLLATE pg_catalog."C",
    digest text NOT NULL COLLATE pg_catalog."C",
    status integer NOT NULL,
    body text NOT NULL COLLATE pg_catalog."C",
    kept_at timestamp with time zone NOT NULL
);
-- Name: sightings; Type: TABLE; Schema: public; Owner: -
CREATE TABLE public.sightings (
    number bigint NOT NULL,
    last_seen timestamp with time zone,
    seen_by text COLLATE pg_catalog."C"
);
-- Name: sources; Type: TABLE; Schema: public; Owner: -
CREATE TABLE public.sources (
    source_id text NOT NULL COLLATE pg_catalog."C",
    kind text NOT NULL COLLATE pg_catalog."C",
    name text NOT NULL COLLATE pg_catalog."C",
    state text NOT NULL COLLATE pg_catalog."C",
    last_sync_at timestamp with time zone,
    last_error text COLLATE pg_catalog."C",
    extra json NOT NULL,
    created_at timestamp with time zone NOT NULL,
    modified_at timestamp with time zone DEFAULT '1970-01-01 00:00:00+00'::timestamp with time zone NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    CONSTRAINT ck_sources_ck_sources_kind CHECK ((kind = ANY (ARRAY['home_assistant'::text, 'mqtt'::text, 'zigbee2mqtt'::text, 'file'::text, 'manual'::text]))),
    CONSTRAINT ck_sources_ck_sources_state CHECK ((state = ANY (ARRAY['never'::text, 'ok'::text, 'error'::text])))
);
-- Name: sync_runs; Type: TABLE; Schema: public; Owner: -
CREATE TABLE public.sync_runs (
    run_id text NOT NULL COLLATE pg_catalog."C",
    source_id text NOT NULL COLLATE pg_catalog."C",
    started_at timestamp with time zone NOT NULL,
    finished_at timestamp with time zone NOT NULL,
    counts json NOT NULL,
    outcome text NOT NULL COLLATE pg_catalog."C",
    guard text COLLATE pg_catalog."C"
);
-- Data for Name: alembic_version; Type: TABLE DATA; Schema: public; Owner: -
INSERT INTO public.alembic_version (version_num) VALUES ('0002');
-- Data for Name: areas; Type: TABLE DATA; Schema: public; Owner: -
INSERT INTO public.areas (source_id, area_id, name, floor_id, aliases, labels, extra, first_listed_at, last_listed_at, removed_at, created_at, modified_at, version) VALUES ('home', 'kueche', 'Küche', 'eg', '["Kochen","台所"]', '["warm"]', '{}', '2026-03-11 08:30:00.123456+00', NULL, NULL, '2026-03-11 08:30:00.123456+00', '2026-03-11 08:30:00.123456+00', 1);
INSERT INTO public.areas (source_id, area_id, name, floor_id, aliases, labels, extra, first_listed_at, last_listed_at, removed_at, created_at, modified_at, version) VALUES ('manual', 'shed', 'Shed', NULL, '[]', '[]', '{}', '2026-03-11 09:30:00.123456+00', NULL, NULL, '2026-03-11 09:30:00.123456+00', '2026-03-11 09:30:00.123456+00', 1);
INSERT INTO public.areas (source_id, area_id, name, floor_id, aliases, labels, extra, first_listed_at, last_listed_at, removed_at, created_at, modified_at, version) VALUES ('home', 'hall', 'The "Hall" \ it''s', NULL, '[]', '[]', '{}', '2026-03-11 08:30:00.123456+00', '2026-03-31 08:30:00.123456+00', '2026-03-31 08:30:00.123456+00', '2026-03-01 08:30:00.123456+00', '2026-03-31 08:30:00.123456+00', 2);
-- Data for Name: changes; Type: TABLE DATA; Schema: public; Owner: -
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (1, '2026-03-11 08:30:00.123456+00', 'source', 'home', 'home', 'create', NULL, '{"source_id":"home","kind":"home_assistant","name":"Zuhause ☕","extra":{"version":"2026.3.1","floors":[{"floor_id":"eg"}]},"state":"ok","last_sync_at":"2026-03-11T08:30:00.123456Z","last_error":null}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (2, '2026-03-11 08:30:00.123456+00', 'area', 'home', 'kueche', 'create', NULL, '{"area_id":"kueche","name":"Küche","floor_id":"eg","aliases":["Kochen","台所"],"labels":["warm"]}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (3, '2026-03-11 08:30:00.123456+00', 'area', 'home', 'hall', 'create', NULL, '{"area_id":"hall","name":"The \"Hall\" \\ it''s","created_at":"2026-03-01T08:30:00.123456Z","modified_at":"2026-03-01T08:30:00.123456Z"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (4, '2026-03-11 08:30:00.123456+00', 'device', 'home', 'lamp', 'create', NULL, '{"manufacturer":"manufacturer of lamp","model":"model of lamp","model_id":"model_id of lamp","area_id":"kueche","integration":"integration of lamp","sw_version":"sw_version of lamp","hw_version":"hw_version of lamp","serial_number":"serial_number of lamp","configuration_url":"configuration_url of lamp","parent_device_id":"parent_device_id of lamp","device_id":"lamp","name":"Deckenlampe","name_by_user":"Große Lampe","via_device_id":"hub","entry_type":"service","disabled_by":"user","labels":["a","b"],"identifiers":[["zha","00:11"],["x",1]],"connections":[["mac","aa:bb"]],"extra":{"primary":null,"deep":{"n":[1,2.5,1e+21,true,"ü"]}},"created_at":"2026-03-01T08:30:00.123456Z","modified_at":"2026-03-02T08:30:00.123456Z"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (5, '2026-03-11 08:30:00.123456+00', 'device', 'home', 'hub', 'create', NULL, '{"device_id":"hub","name":"Hub","created_at":"2026-03-01T08:30:00.123456Z","modified_at":"2026-03-01T08:30:00.123456Z"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (6, '2026-03-11 08:30:00.123456+00', 'device', 'home', 'd00', 'create', NULL, '{"device_id":"d00","name":"مصباح"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (7, '2026-03-11 08:30:00.123456+00', 'device', 'home', 'd01', 'create', NULL, '{"device_id":"d01","name":"ランプ"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (8, '2026-03-11 08:30:00.123456+00', 'device', 'home', 'd02', 'create', NULL, '{"device_id":"d02","name":"Lámpara"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (9, '2026-03-11 08:30:00.123456+00', 'device', 'home', 'd03', 'create', NULL, '{"device_id":"d03","name":""}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (10, '2026-03-11 08:30:00.123456+00', 'device', 'home', 'd04', 'create', NULL, '{"device_id":"d04","name":"line one\nline two"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (11, '2026-03-11 08:30:00.123456+00', 'device', 'home', 'd05', 'create', NULL, '{"device_id":"d05","name":"🔌 plug"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (12, '2026-03-11 08:30:00.123456+00', 'device', 'home', 'd06', 'create', NULL, '{"device_id":"d06","name":"%s $1 ?"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (13, '2026-03-11 08:30:00.123456+00', 'device', 'home', 'd07', 'create', NULL, '{"device_id":"d07","name":"a\ttab"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (14, '2026-03-11 08:30:00.123456+00', 'device', 'home', 'd08', 'create', NULL, '{"device_id":"d08","name":"İstanbul"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (15, '2026-03-11 08:30:00.123456+00', 'device', 'home', 'd09', 'create', NULL, '{"device_id":"d09","name":"ﬁlter"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (16, '2026-03-11 08:30:00.123456+00', 'entity', 'home', 'light-1', 'create', NULL, '{"platform":"platform of light","unique_id":"unique_id of light","name":"name of light","name_by_user":"name_by_user of light","area_id":"area_id of light","disabled_by":"disabled_by of light","hidden_by":"hidden_by of light","entity_category":"entity_category of light","device_class":"device_class of light","id":"light-1","entity_id":"light.küche","device_id":"lamp","domain":"light","labels":["ночь"],"extra":{"options":{"sensor":{"precision":2}}},"created_at":"2026-03-01T08:30:00.123456Z","modified_at":"2026-03-01T08:30:00.123456Z"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (17, '2026-03-11 08:30:00.123456+00', 'entity', 'home', 'state-only', 'create', NULL, '{"id":"state-only","entity_id":"sun.sun","domain":"sun"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (18, '2026-03-11 08:30:00.123456+00', 'entity', 'home', 'e00', 'create', NULL, '{"id":"e00","entity_id":"sensor.d00","domain":"sensor","device_id":"d00","platform":"zha"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (19, '2026-03-11 08:30:00.123456+00', 'entity', 'home', 'e01', 'create', NULL, '{"id":"e01","entity_id":"sensor.d01","domain":"sensor","device_id":"d01","platform":"zha"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (20, '2026-03-11 08:30:00.123456+00', 'entity', 'home', 'e02', 'create', NULL, '{"id":"e02","entity_id":"sensor.d02","domain":"sensor","device_id":"d02","platform":"zha"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (21, '2026-03-11 08:30:00.123456+00', 'entity', 'home', 'e03', 'create', NULL, '{"id":"e03","entity_id":"sensor.d03","domain":"sensor","device_id":"d03","platform":"zha"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (22, '2026-03-11 08:30:00.123456+00', 'entity', 'home', 'e04', 'create', NULL, '{"id":"e04","entity_id":"sensor.d04","domain":"sensor","device_id":"d04","platform":"zha"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (23, '2026-03-11 08:30:00.123456+00', 'entity', 'home', 'e05', 'create', NULL, '{"id":"e05","entity_id":"sensor.d05","domain":"sensor","device_id":"d05","platform":"zha"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (24, '2026-03-11 08:30:00.123456+00', 'entity', 'home', 'e06', 'create', NULL, '{"id":"e06","entity_id":"sensor.d06","domain":"sensor","device_id":"d06","platform":"zha"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (25, '2026-03-11 08:30:00.123456+00', 'entity', 'home', 'e07', 'create', NULL, '{"id":"e07","entity_id":"sensor.d07","domain":"sensor","device_id":"d07","platform":"zha"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (26, '2026-03-11 08:30:00.123456+00', 'entity', 'home', 'e08', 'create', NULL, '{"id":"e08","entity_id":"sensor.d08","domain":"sensor","device_id":"d08","platform":"zha"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (27, '2026-03-11 08:30:00.123456+00', 'entity', 'home', 'e09', 'create', NULL, '{"id":"e09","entity_id":"sensor.d09","domain":"sensor","device_id":"d09","platform":"zha"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (28, '2026-03-11 08:30:00.123456+00', 'device', 'home', 'composite', 'move', '{"device_id":"composite"}', '{"device_id":"lamp"}', 'sync', '00000000000000000000000000000001', NULL);
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (29, '2026-03-11 09:30:00.123456+00', 'source', 'manual', 'manual', 'create', NULL, '{"source_id":"manual","kind":"manual","name":"Added by hand","state":"never"}', 'api', NULL, 'request-1');
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (30, '2026-03-11 09:30:00.123456+00', 'area', 'manual', 'shed', 'create', NULL, '{"area_id":"shed","name":"Shed"}', 'api', NULL, 'request-1');
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (31, '2026-03-11 09:30:00.123456+00', 'device', 'manual', 'boiler', 'create', NULL, '{"device_id":"boiler","name":"Boiler","note":"serviced\nin March"}', 'api', NULL, 'request-1');
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (32, '2026-03-11 09:30:00.123456+00', 'device', 'manual', 'sold', 'create', NULL, '{"device_id":"sold","name":"Sold"}', 'api', NULL, 'request-1');
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (33, '2026-03-11 09:30:00.123456+00', 'device', 'home', 'hub', 'update', '{"area_id":null,"note":null,"source_values":{}}', '{"area_id":"hall","note":"hinter der Tür","source_values":{"area_id":null,"name_by_user":null}}', 'api', NULL, 'request-1');
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (34, '2026-03-11 09:30:00.123456+00', 'entity', 'home', 'light-1', 'update', '{"area_id":"area_id of light","note":null,"source_values":{}}', '{"area_id":"hall","note":"dimmt","source_values":{"area_id":"area_id of light"}}', 'api', NULL, 'request-1');
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (35, '2026-03-11 09:30:00.123456+00', 'entity', 'home', 'e03', 'update', '{"disabled_by":null,"source_values":{}}', '{"disabled_by":"user","source_values":{"disabled_by":null}}', 'api', NULL, 'request-1');
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (36, '2026-03-11 10:30:00.123456+00', 'device', 'manual', 'sold', 'remove', '{"removed_at":null}', '{"removed_at":"2026-03-11T10:30:00.123456Z"}', 'command', NULL, NULL);
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (37, '2026-03-31 08:30:00.123456+00', 'source', 'home', 'home', 'update', '{"last_sync_at":"2026-03-11T08:30:00.123456Z"}', '{"last_sync_at":"2026-03-31T08:30:00.123456Z"}', 'sync', '00000000000000000000000000000002', NULL);
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (38, '2026-03-31 08:30:00.123456+00', 'area', 'home', 'hall', 'remove', '{"removed_at":null}', '{"removed_at":"2026-03-31T08:30:00.123456Z"}', 'sync', '00000000000000000000000000000002', NULL);
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (39, '2026-03-31 08:30:00.123456+00', 'device', 'home', 'd01', 'remove', '{"removed_at":null}', '{"removed_at":"2026-03-31T08:30:00.123456Z"}', 'sync', '00000000000000000000000000000002', NULL);
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (40, '2026-03-31 08:30:00.123456+00', 'device', 'home', 'lamp', 'update', '{"sw_version":"sw_version of lamp","modified_at":"2026-03-02T08:30:00.123456Z"}', '{"sw_version":"2.0","modified_at":"2026-03-21T08:30:00.123456Z"}', 'sync', '00000000000000000000000000000002', NULL);
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (41, '2026-03-31 08:30:00.123456+00', 'device', 'home', 'late', 'create', NULL, '{"device_id":"late"}', 'sync', '00000000000000000000000000000002', NULL);
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (42, '2026-03-31 08:30:00.123456+00', 'entity', 'home', 'e01', 'remove', '{"removed_at":null}', '{"removed_at":"2026-03-31T08:30:00.123456Z"}', 'sync', '00000000000000000000000000000002', NULL);
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (43, '2026-03-31 08:30:00.123456+00', 'entity', 'home', 'e02', 'remove', '{"removed_at":null}', '{"removed_at":"2026-03-31T08:30:00.123456Z"}', 'sync', '00000000000000000000000000000002', NULL);
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (44, '2026-03-31 08:30:00.123456+00', 'entity', 'home', 'e00', 'rename', '{"entity_id":"sensor.d00"}', '{"entity_id":"sensor.renamed"}', 'sync', '00000000000000000000000000000002', NULL);
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (45, '2026-03-31 08:30:00.123456+00', 'device', 'home', 'second', 'move', '{"device_id":"second"}', '{"device_id":"hub"}', 'sync', '00000000000000000000000000000002', NULL);
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (46, '2026-04-01 08:30:00.123456+00', 'source', 'cabin', 'cabin', 'create', NULL, '{"source_id":"cabin","kind":"file","name":"Cabin","extra":{},"state":"ok","last_sync_at":"2026-04-01T08:30:00.123456Z","last_error":null}', 'sync', '00000000000000000000000000000003', NULL);
INSERT INTO public.changes (seq, at, kind, source_id, key, action, before, after, actor, run_id, request_id) VALUES (47, '2026-04-01 08:30:00.123456+00', 'source', 'cabin', 'cabin', 'update', '{"state":"ok","last_error":null}', '{"state":"error","last_error":"it does not answer"}', 'sync', NULL, NULL);
-- Data for Name: device_ids; Type: TABLE DATA; Schema: public; Owner: -
INSERT INTO public.device_ids (old_id, device_id, reason, moved_at) VALUES ('composite', 'lamp', 'split by its source', '2026-03-11 08:30:00.123456+00');
INSERT INTO public.device_ids (old_id, device_id, reason, moved_at) VALUES ('second', 'hub', 'split by its source', '2026-03-31 08:30:00.123456+00');
-- Data for Name: device_search; Type: TABLE DATA; Schema: public; Owner: -
INSERT INTO public.device_search (rowid, document) VALUES (13, '''boiler'':1A,11 ''in'':13 ''march'':14 ''serviced'':12');
INSERT INTO public.device_search (rowid, document) VALUES (15, '''late'':10');
INSERT INTO public.device_search (rowid, document) VALUES (3, '''d00'':11 ''renamed'':13 ''sensor'':12 ''مصباح'':1A');
INSERT INTO public.device_search (rowid, document) VALUES (5, '''d02'':11 ''lampara'':1A');
INSERT INTO public.device_search (rowid, document) VALUES (6, '''d03'':10,12 ''sensor'':11');
INSERT INTO public.device_search (rowid, document) VALUES (7, '''d04'':14,16 ''line'':1A,3A ''one'':2A ''sensor'':15 ''two'':4A');
INSERT INTO public.device_search (rowid, document) VALUES (8, '''d05'':11,13 ''plug'':1A ''sensor'':12');
INSERT INTO public.device_search (rowid, document) VALUES (9, '''1'':2A ''d06'':12,14 ''s'':1A ''sensor'':13');
INSERT INTO public.device_search (rowid, document) VALUES (10, '''a'':1A ''d07'':12,14 ''sensor'':13 ''tab'':2A');
INSERT INTO public.device_search (rowid, document) VALUES (11, '''d08'':11,13 ''istanbul'':1A ''sensor'':12');
INSERT INTO public.device_search (rowid, document) VALUES (12, '''d09'':11,13 ''sensor'':12 ''ﬁlter'':1A');
INSERT INTO public.device_search (rowid, document) VALUES (2, '''der'':13 ''hall'':15,17 ''hinter'':12 ''hub'':1A,11 ''it'':18 ''s'':19 ''the'':16 ''tur'':14');
INSERT INTO public.device_search (rowid, document) VALUES (1, '''00'':29 ''1'':32 ''11'':30 ''a'':36 ''aa'':34 ''b'':37 ''bb'':35 ''deckenlampe'':3A ''große'':1A ''id'':20 ''kuche'':39,41 ''kueche'':38 ''lamp'':15,18,22,26,27 ''lampe'':2A ''light'':40 ''mac'':33 ''manufacturer'':13 ''model'':16,19 ''number'':24 ''of'':14,17,21,25 ''serial'':23 ''x'':31 ''zha'':28');
-- Data for Name: devices; Type: TABLE DATA; Schema: public; Owner: -
INSERT INTO public.devices (number, device_id, source_id, name, name_by_user, manufacturer, model, model_id, area_id, integration, sw_version, hw_version, serial_number, entry_type, configuration_url, via_device_id, parent_device_id, disabled_by, labels, identifiers, connections, note, extra, source_values, first_listed_at, last_listed_at, removed_at, created_at, modified_at, version) VALUES (3, 'd00', 'home', 'مصباح', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '[]', '[]', NULL, '{}', '{}', '2026-03-11 08:30:00.123456+00', NULL, NULL, '2026-03-11 08:30:00.123456+00', '2026-03-11 08:30:00.123456+00', 1);
INSERT INTO public.devices (number, device_id, source_id, name, name_by_user, manufacturer, model, model_id, area_id, integration, sw_version, hw_version, serial_number, entry_type, configuration_url, via_device_id, parent_device_id, disabled_by, labels, identifiers, connections, note, extra, source_values, first_listed_at, last_listed_at, removed_at, created_at, modified_at, version) VALUES (5, 'd02', 'home', 'Lámpara', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '[]', '[]', NULL, '{}', '{}', '2026-03-11 08:30:00.123456+00', NULL, NULL, '2026-03-11 08:30:00.123456+00', '2026-03-11 08:30:00.123456+00', 1);
INSERT INTO public.devices (number, device_id, source_id, name, name_by_user, manufacturer, model, model_id, area_id, integration, sw_version, hw_version, serial_number, entry_type, configuration_url, via_device_id, parent_device_id, disabled_by, labels, identifiers, connections, note, extra, source_values, first_listed_at, last_listed_at, removed_at, created_at, modified_at, version) VALUES (6, 'd03', 'home', '', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '[]', '[]', NULL, '{}', '{}', '2026-03-11 08:30:00.123456+00', NULL, NULL, '2026-03-11 08:30:00.123456+00', '2026-03-11 08:30:00.123456+00', 1);
INSERT INTO public.devices (number, device_id, source_id, name, name_by_user, manufacturer, model, model_id, area_id, integration, sw_version, hw_version, serial_number, entry_type, configuration_url, via_device_id, parent_device_id, disabled_by, labels, identifiers, connections, note, extra, source_values, first_listed_at, last_listed_at, removed_at, created_at, modified_at, version) VALUES (7, 'd04', 'home', 'line one
line two', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '[]', '[]', NULL, '{}', '{}', '2026-03-11 08:30:00.123456+00', NULL, NULL, '2026-03-11 08:30:00.123456+00', '2026-03-11 08:30:00.123456+00', 1);
INSERT INTO public.devices (number, device_id, source_id, name, name_by_user, manufacturer, model, model_id, area_id, integration, sw_version, hw_version, serial_number, entry_type, configuration_url, via_device_id, parent_device_id, disabled_by, labels, identifiers, connections, note, extra, source_values, first_listed_at, last_listed_at, removed_at, created_at, modified_at, version) VALUES (8, 'd05', 'home', '🔌 plug', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '[]', '[]', NULL, '{}', '{}', '2026-03-11 08:30:00.123456+00', NULL, NULL, '2026-03-11 08:30:00.123456+00', '2026-03-11 08:30:00.123456+00', 1);
INSERT INTO public.devices (number, device_id, source_id, name, name_by_user, manufacturer, model, model_id, area_id, integration, sw_version, hw_version, serial_number, entry_type, configuration_url, via_device_id, parent_device_id, disabled_by, labels, identifiers, connections, note, extra, source_values, first_listed_at, last_listed_at, removed_at, created_at, modified_at, version) VALUES (9, 'd06', 'home', '%s $1 ?', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '[]', '[]', NULL, '{}', '{}', '2026-03-11 08:30:00.123456+00', NULL, NULL, '2026-03-11 08:30:00.123456+00', '2026-03-11 08:30:00.123456+00', 1);
INSERT INTO public.devices (number, device_id, source_id, name, name_by_user, manufacturer, model, model_id, area_id, integration, sw_version, hw_version, serial_number, entry_type, configuration_url, via_device_id, parent_device_id, disabled_by, labels, identifiers, connections, note, extra, source_values, first_listed_at, last_listed_at, removed_at, created_at, modified_at, version) VALUES (10, 'd07', 'home', 'a	tab', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '[]', '[]', NULL, '{}', '{}', '2026-03-11 08:30:00.123456+00', NULL, NULL, '2026-03-11 08:30:00.123456+00', '2026-03-11 08:30:00.123456+00', 1);
INSERT INTO public.devices (number, device_id, source_id, name, name_by_user, manufacturer, model, model_id, area_id, integration, sw_version, hw_version, serial_number, entry_type, configuration_url, via_device_id, parent_device_id, disabled_by, labels, identifiers, connections, note, extra, source_values, first_listed_at, last_listed_at, removed_at, created_at, modified_at, version) VALUES (11, 'd08', 'home', 'İstanbul', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '[]', '[]', NULL, '{}', '{}', '2026-03-11 08:30:00.123456+00', NULL, NULL, '2026-03-11 08:30:00.123456+00', '2026-03-11 08:30:00.123456+00', 1);
INSERT INTO public.devices (number, device_id, source_id, name, name_by_user, manufacturer, model, model_id, area_id, integration, sw_version, hw_version, serial_number, entry_type, configuration_url, via_device_id, parent_device_id, disabled_by, labels, identifiers, connections, note, extra, source_values, first_listed_at, last_listed_at, removed_at, created_at, modified_at, version) VALUES (12, 'd09', 'home', 'ﬁlter', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '[]', '[]', NULL, '{}', '{}', '2026-03-11 08:30:00.123456+00', NULL, NULL, '2026-03-11 08:30:00.123456+00', '2026-03-11 08:30:00.123456+00', 1);
INSERT INTO public.devices (number, device_id, source_id, name, name_by_user, manufacturer, model, model_id, area_id, integration, sw_version, hw_version, serial_number, entry_type, configuration_url, via_device_id, parent_device_id, disabled_by, labels, identifiers, connections, note, extra, source_values, first_listed_at, last_listed_at, removed_at, created_at, modified_at, version) VALUES (13, 'boiler', 'manual', 'Boiler', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '[]', '[]', 'serviced
in March', '{}', '{}', '2026-03-11 09:30:00.123456+00', NULL, NULL, '2026-03-11 09:30:00.123456+00', '2026-03-11 09:30:00.123456+00', 1);
INSERT INTO public.devices (number, device_id, source_id, name, name_by_user, manufacturer, model, model_id, area_id, integration, sw_version, hw_version, serial_number, entry_type, configuration_url, via_device_id, parent_device_id, disabled_by, labels, identifiers, connections, note, extra, source_values, first_listed_at, last_listed_at, removed_at, created_at, modified_at, version) VALUES (2, 'hub', 'home', 'Hub', NULL, NULL, NULL, NULL, 'hall', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '[]', '[]', 'hinter der Tür', '{}', '{"area_id":null,"name_by_user":null}', '2026-03-11 08:30:00.123456+00', NULL, NULL, '2026-03-01 08:30:00.123456+00', '2026-03-11 09:30:00.123456+00', 2);
INSERT INTO public.devices (number, device_id, source_id, name, name_by_user, manufacturer, model, model_id, area_id, integration, sw_version, hw_version, serial_number, entry_type, configuration_url, via_device_id, parent_device_id, disabled_by, labels, identifiers, connections, note, extra, source_values, first_listed_at, last_listed_at, removed_at, created_at, modified_at, version) VALUES (14, 'sold', 'manual', 'Sold', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '[]', '[]', NULL, '{}', '{}', '2026-03-11 09:30:00.123456+00', '2026-03-11 10:30:00.123456+00', '2026-03-11 10:30:00.123456+00', '2026-03-11 09:30:00.123456+00', '2026-03-11 10:30:00.123456+00', 2);
INSERT INTO public.devices (number, device_id, source_id, name, name_by_user, manufacturer, model, model_id, area_id, integration, sw_version, hw_version, serial_number, entry_type, configuration_url, via_device_id, parent_device_id, disabled_by, labels, identifiers, connections, note, extra, source_values, first_listed_at, last_listed_at, removed_at, created_at, modified_at, version) VALUES (4, 'd01', 'home', 'ランプ', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '[]', '[]', NULL, '{}', '{}', '2026-03-11 08:30:00.123456+00', '2026-03-31 08:30:00.123456+00', '2026-03-31 08:30:00.123456+00', '2026-03-11 08:30:00.123456+00', '2026-03-31 08:30:00.123456+00', 2);
INSERT INTO public.devices (number, device_id, source_id, name, name_by_user, manufacturer, model, model_id, area_id, integration, sw_version, hw_version, serial_number, entry_type, configuration_url, via_device_id, parent_device_id, disabled_by, labels, identifiers, connections, note, extra, source_values, first_listed_at, last_listed_at, removed_at, created_at, modified_at, version) VALUES (1, 'lamp', 'home', 'Deckenlampe', 'Große Lampe', 'manufacturer of lamp', 'model of lamp', 'model_id of lamp', 'kueche', 'integration of lamp', '2.0', 'hw_version of lamp', 'serial_number of lamp', 'service', 'configuration_url of lamp', 'hub', 'parent_device_id of lamp', 'user', '["a","b"]', '[["zha","00:11"],["x",1]]', '[["mac","aa:bb"]]', NULL, '{"primary":null,"deep":{"n":[1,2.5,1e+21,true,"ü"]}}', '{}', '2026-03-11 08:30:00.123456+00', NULL, NULL, '2026-03-01 08:30:00.123456+00', '2026-03-21 08:30:00.123456+00', 2);
INSERT INTO public.devices (number, device_id, source_id, name, name_by_user, manufacturer, model, model_id, area_id, integration, sw_version, hw_version, serial_number, entry_type, configuration_url, via_device_id, parent_device_id, disabled_by, labels, identifiers, connections, note, extra, source_values, first_listed_at, last_listed_at, removed_at, created_at, modified_at, version) VALUES (15, 'late', 'home', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', '[]', '[]', NULL, '{}', '{}', '2026-03-31 08:30:00.123456+00', NULL, NULL, '2026-03-31 08:30:00.123456+00', '2026-03-31 08:30:00.123456+00', 1);
-- Data for Name: entities; Type: TABLE DATA; Schema: public; Owner: -
INSERT INTO public.entities (number, id, entity_id, source_id, device_id, domain, platform, unique_id, name, name_by_user, area_id, disabled_by, hidden_by, entity_category, device_class, labels, note, extra, source_values, first_listed_at, last_listed_at, removed_at, created_at, modified_at, version) VALUES (2, 'state-only', 'sun.sun', 'home', NULL, 'sun', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', NULL, '{}', '{}', '2026-03-11 08:30:00.123456+00', NULL, NULL, '2026-03-11 08:30:00.123456+00', '2026-03-11 08:30:00.123456+00', 1);
INSERT INTO public.entities (number, id, entity_id, source_id, device_id, domain, platform, unique_id, name, name_by_user, area_id, disabled_by, hidden_by, entity_category, device_class, labels, note, extra, source_values, first_listed_at, last_listed_at, removed_at, created_at, modified_at, version) VALUES (7, 'e04', 'sensor.d04', 'home', 'd04', 'sensor', 'zha', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', NULL, '{}', '{}', '2026-03-11 08:30:00.123456+00', NULL, NULL, '2026-03-11 08:30:00.123456+00', '2026-03-11 08:30:00.123456+00', 1);
INSERT INTO public.entities (number, id, entity_id, source_id, device_id, domain, platform, unique_id, name, name_by_user, area_id, disabled_by, hidden_by, entity_category, device_class, labels, note, extra, source_values, first_listed_at, last_listed_at, removed_at, created_at, modified_at, version) VALUES (8, 'e05', 'sensor.d05', 'home', 'd05', 'sensor', 'zha', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', NULL, '{}', '{}', '2026-03-11 08:30:00.123456+00', NULL, NULL, '2026-03-11 08:30:00.123456+00', '2026-03-11 08:30:00.123456+00', 1);
INSERT INTO public.entities (number, id, entity_id, source_id, device_id, domain, platform, unique_id, name, name_by_user, area_id, disabled_by, hidden_by, entity_category, device_class, labels, note, extra, source_values, first_listed_at, last_listed_at, removed_at, created_at, modified_at, version) VALUES (9, 'e06', 'sensor.d06', 'home', 'd06', 'sensor', 'zha', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', NULL, '{}', '{}', '2026-03-11 08:30:00.123456+00', NULL, NULL, '2026-03-11 08:30:00.123456+00', '2026-03-11 08:30:00.123456+00', 1);
INSERT INTO public.entities (number, id, entity_id, source_id, device_id, domain, platform, unique_id, name, name_by_user, area_id, disabled_by, hidden_by, entity_category, device_class, labels, note, extra, source_values, first_listed_at, last_listed_at, removed_at, created_at, modified_at, version) VALUES (10, 'e07', 'sensor.d07', 'home', 'd07', 'sensor', 'zha', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', NULL, '{}', '{}', '2026-03-11 08:30:00.123456+00', NULL, NULL, '2026-03-11 08:30:00.123456+00', '2026-03-11 08:30:00.123456+00', 1);
INSERT INTO public.entities (number, id, entity_id, source_id, device_id, domain, platform, unique_id, name, name_by_user, area_id, disabled_by, hidden_by, entity_category, device_class, labels, note, extra, source_values, first_listed_at, last_listed_at, removed_at, created_at, modified_at, version) VALUES (11, 'e08', 'sensor.d08', 'home', 'd08', 'sensor', 'zha', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', NULL, '{}', '{}', '2026-03-11 08:30:00.123456+00', NULL, NULL, '2026-03-11 08:30:00.123456+00', '2026-03-11 08:30:00.123456+00', 1);
INSERT INTO public.entities (number, id, entity_id, source_id, device_id, domain, platform, unique_id, name, name_by_user, area_id, disabled_by, hidden_by, entity_category, device_class, labels, note, extra, source_values, first_listed_at, last_listed_at, removed_at, created_at, modified_at, version) VALUES (12, 'e09', 'sensor.d09', 'home', 'd09', 'sensor', 'zha', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', NULL, '{}', '{}', '2026-03-11 08:30:00.123456+00', NULL, NULL, '2026-03-11 08:30:00.123456+00', '2026-03-11 08:30:00.123456+00', 1);
INSERT INTO public.entities (number, id, entity_id, source_id, device_id, domain, platform, unique_id, name, name_by_user, area_id, disabled_by, hidden_by, entity_category, device_class, labels, note, extra, source_values, first_listed_at, last_listed_at, removed_at, created_at, modified_at, version) VALUES (1, 'light-1', 'light.küche', 'home', 'lamp', 'light', 'platform of light', 'unique_id of light', 'name of light', 'name_by_user of light', 'hall', 'disabled_by of light', 'hidden_by of light', 'entity_category of light', 'device_class of light', '["ночь"]', 'dimmt', '{"options":{"sensor":{"precision":2}}}', '{"area_id":"area_id of light"}', '2026-03-11 08:30:00.123456+00', NULL, NULL, '2026-03-01 08:30:00.123456+00', '2026-03-11 09:30:00.123456+00', 2);
INSERT INTO public.entities (number, id, entity_id, source_id, device_id, domain, platform, unique_id, name, name_by_user, area_id, disabled_by, hidden_by, entity_category, device_class, labels, note, extra, source_values, first_listed_at, last_listed_at, removed_at, created_at, modified_at, version) VALUES (6, 'e03', 'sensor.d03', 'home', 'd03', 'sensor', 'zha', NULL, NULL, NULL, NULL, 'user', NULL, NULL, NULL, '[]', NULL, '{}', '{"disabled_by":null}', '2026-03-11 08:30:00.123456+00', NULL, NULL, '2026-03-11 08:30:00.123456+00', '2026-03-11 09:30:00.123456+00', 2);
INSERT INTO public.entities (number, id, entity_id, source_id, device_id, domain, platform, unique_id, name, name_by_user, area_id, disabled_by, hidden_by, entity_category, device_class, labels, note, extra, source_values, first_listed_at, last_listed_at, removed_at, created_at, modified_at, version) VALUES (4, 'e01', 'sensor.d01', 'home', 'd01', 'sensor', 'zha', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', NULL, '{}', '{}', '2026-03-11 08:30:00.123456+00', '2026-03-31 08:30:00.123456+00', '2026-03-31 08:30:00.123456+00', '2026-03-11 08:30:00.123456+00', '2026-03-31 08:30:00.123456+00', 2);
INSERT INTO public.entities (number, id, entity_id, source_id, device_id, domain, platform, unique_id, name, name_by_user, area_id, disabled_by, hidden_by, entity_category, device_class, labels, note, extra, source_values, first_listed_at, last_listed_at, removed_at, created_at, modified_at, version) VALUES (5, 'e02', 'sensor.d02', 'home', 'd02', 'sensor', 'zha', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', NULL, '{}', '{}', '2026-03-11 08:30:00.123456+00', '2026-03-31 08:30:00.123456+00', '2026-03-31 08:30:00.123456+00', '2026-03-11 08:30:00.123456+00', '2026-03-31 08:30:00.123456+00', 2);
INSERT INTO public.entities (number, id, entity_id, source_id, device_id, domain, platform, unique_id, name, name_by_user, area_id, disabled_by, hidden_by, entity_category, device_class, labels, note, extra, source_values, first_listed_at, last_listed_at, removed_at, created_at, modified_at, version) VALUES (3, 'e00', 'sensor.renamed', 'home', 'd00', 'sensor', 'zha', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', NULL, '{}', '{}', '2026-03-11 08:30:00.123456+00', NULL, NULL, '2026-03-11 08:30:00.123456+00', '2026-03-31 08:30:00.123456+00', 2);
-- Data for Name: entity_search; Type: TABLE DATA; Schema: public; Owner: -
INSERT INTO public.entity_search (rowid, document) VALUES (6, '''d03'':2A ''e03'':12 ''sensor'':1A ''zha'':13');
INSERT INTO public.entity_search (rowid, document) VALUES (7, '''d04'':2A ''e04'':12 ''line'':14,16 ''one'':15 ''sensor'':1A ''two'':17 ''zha'':13');
INSERT INTO public.entity_search (rowid, document) VALUES (8, '''d05'':2A ''e05'':12 ''plug'':14 ''sensor'':1A ''zha'':13');
INSERT INTO public.entity_search (rowid, document) VALUES (9, '''1'':15 ''d06'':2A ''e06'':12 ''s'':14 ''sensor'':1A ''zha'':13');
INSERT INTO public.entity_search (rowid, document) VALUES (10, '''a'':14 ''d07'':2A ''e07'':12 ''sensor'':1A ''tab'':15 ''zha'':13');
INSERT INTO public.entity_search (rowid, document) VALUES (11, '''d08'':2A ''e08'':12 ''istanbul'':14 ''sensor'':1A ''zha'':13');
INSERT INTO public.entity_search (rowid, document) VALUES (12, '''d09'':2A ''e09'':12 ''sensor'':1A ''zha'':13 ''ﬁlter'':14');
INSERT INTO public.entity_search (rowid, document) VALUES (2, '''only'':13 ''state'':12 ''sun'':1A,2A');
INSERT INTO public.entity_search (rowid, document) VALUES (1, '''1'':21 ''by'':2A ''class'':30 ''deckenlampe'':37 ''device'':29 ''dimmt'':34 ''große'':35 ''hall'':48,50 ''id'':23 ''it'':51 ''kuche'':10A ''lamp'':40,43,47 ''lampe'':36 ''light'':5A,8A,9A,20,25,28,32 ''manufacturer'':38 ''model'':41 ''name'':1A,6A ''number'':45 ''of'':4A,7A,24,27,31,39,42,46 ''platform'':26 ''s'':52 ''serial'':44 ''the'':49 ''unique'':22 ''user'':3A ''ночь'':33');
INSERT INTO public.entity_search (rowid, document) VALUES (3, '''e00'':12 ''renamed'':2A ''sensor'':1A ''zha'':13 ''مصباح'':14');
-- Data for Name: idempotency_keys; Type: TABLE DATA; Schema: public; Owner: -
INSERT INTO public.idempotency_keys (key, digest, status, body, kept_at) VALUES ('key-1', 'digest', 200, '{"results":[]}', '2026-04-01 08:30:00.123456+00');
-- Data for Name: sightings; Type: TABLE DATA; Schema: public; Owner: -
INSERT INTO public.sightings (number, last_seen, seen_by) VALUES (2, NULL, NULL);
INSERT INTO public.sightings (number, last_seen, seen_by) VALUES (3, NULL, NULL);
INSERT INTO public.sightings (number, last_seen, seen_by) VALUES (4, NULL, NULL);
INSERT INTO public.sightings (number, last_seen, seen_by) VALUES (6, NULL, NULL);
INSERT INTO public.sightings (number, last_seen, seen_by) VALUES (7, NULL, NULL);
INSERT INTO public.sightings (number, last_seen, seen_by) VALUES (8, NULL, NULL);
INSERT INTO public.sightings (number, last_seen, seen_by) VALUES (9, NULL, NULL);
INSERT INTO public.sightings (number, last_seen, seen_by) VALUES (10, NULL, NULL);
INSERT INTO public.sightings (number, last_seen, seen_by) VALUES (11, NULL, NULL);
INSERT INTO public.sightings (number, last_seen, seen_by) VALUES (12, NULL, NULL);
INSERT INTO public.sightings (number, last_seen, seen_by) VALUES (14, NULL, NULL);
INSERT INTO public.sightings (number, last_seen, seen_by) VALUES (1, '2026-03-11 08:30:00.123456+00', 'home');
INSERT INTO public.sightings (number, last_seen, seen_by) VALUES (5, '2026-03-01 08:30:00.123456+00', 'home');
INSERT INTO public.sightings (number, last_seen, seen_by) VALUES (13, '2026-03-11 08:30:01.123456+00', 'home');
INSERT INTO public.sightings (number, last_seen, seen_by) VALUES (15, NULL, NULL);
-- Data for Name: sources; Type: TABLE DATA; Schema: public; Owner: -
INSERT INTO public.sources (source_id, kind, name, state, last_sync_at, last_error, extra, created_at, modified_at, version) VALUES ('manual', 'manual', 'Added by hand', 'never', NULL, NULL, '{}', '2026-03-11 09:30:00.123456+00', '2026-03-11 09:30:00.123456+00', 1);
INSERT INTO public.sources (source_id, kind, name, state, last_sync_at, last_error, extra, created_at, modified_at, version) VALUES ('home', 'home_assistant', 'Zuhause ☕', 'ok', '2026-03-31 08:30:00.123456+00', NULL, '{"version":"2026.3.1","floors":[{"floor_id":"eg"}]}', '2026-03-11 08:30:00.123456+00', '2026-03-31 08:30:00.123456+00', 2);
INSERT INTO public.sources (source_id, kind, name, state, last_sync_at, last_error, extra, created_at, modified_at, version) VALUES ('cabin', 'file', 'Cabin', 'error', '2026-04-01 08:30:00.123456+00', 'it does not answer', '{}', '2026-04-01 08:30:00.123456+00', '2026-04-01 08:30:00.123456+00', 2);
-- Data for Name: sync_runs; Type: TABLE DATA; Schema: public; Owner: -
INSERT INTO public.sync_runs (run_id, source_id, started_at, finished_at, counts, outcome, guard) VALUES ('00000000000000000000000000000001', 'home', '2026-03-11 08:30:00.123456+00', '2026-03-11 08:30:00.123456+00', '{"areas":{"create":2,"update":0,"restore":0,"remove":0,"unchanged":0},"devices":{"create":12,"update":0,"restore":0,"remove":0,"unchanged":0},"entities":{"create":12,"update":0,"restore":0,"remove":0,"unchanged":0}}', 'ok', NULL);
INSERT INTO public.sync_runs (run_id, source_id, started_at, finished_at, counts, outcome, guard) VALUES ('00000000000000000000000000000002', 'home', '2026-03-31 08:30:00.123456+00', '2026-03-31 08:30:00.123456+00', '{"areas":{"create":0,"update":0,"restore":0,"remove":1,"unchanged":1},"devices":{"create":1,"update":1,"restore":0,"remove":1,"unchanged":10},"entities":{"create":0,"update":1,"restore":0,"remove":2,"unchanged":9}}', 'ok', 'removals allowed by hand');
INSERT INTO public.sync_runs (run_id, source_id, started_at, finished_at, counts, outcome, guard) VALUES ('00000000000000000000000000000003', 'cabin', '2026-04-01 08:30:00.123456+00', '2026-04-01 08:30:00.123456+00', '{"areas":{"create":0,"update":0,"restore":0,"remove":0,"unchanged":0},"devices":{"create":0,"update":0,"restore":0,"remove":0,"unchanged":0},"entities":{"create":0,"update":0,"restore":0,"remove":0,"unchanged":0}}', 'ok', NULL);
-- Name: alembic_version alembic_version_pkc; Type: CONSTRAINT; Schema: public; Owner: -
ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
-- Name: areas pk_areas; Type: CONSTRAINT; Schema: public; Owner: -
ALTER TABLE ONLY public.areas
    ADD CONSTRAINT pk_areas PRIMARY KEY (source_id, area_id);
-- Name: changes pk_changes; Type: CONSTRAINT; Schema: public; Owner: -
ALTER TABLE ONLY public.changes
    ADD CONSTRAINT pk_changes PRIMARY KEY (seq);
-- Name: device_ids pk_device_ids; Type: CONSTRAINT; Schema: public; Owner: -
ALTER TABLE ONLY public.device_ids
    ADD CONSTRAINT pk_device_ids PRIMARY KEY (old_id);
-- Name: device_search pk_device_search; Type: CONSTRAINT; Schema: public; Owner: -
ALTER TABLE ONLY public.device_search
    ADD CONSTRAINT pk_device_search PRIMARY KEY (rowid);
-- Name: devices pk_devices; Type: CONSTRAINT; Schema: public; Owner: -
ALTER TABLE ONLY public.devices
    ADD CONSTRAINT pk_devices PRIMARY KEY (number);
-- Name: entities pk_entities; Type: CONSTRAINT; Schema: public; Owner: -
ALTER TABLE ONLY public.entities
    ADD CONSTRAINT pk_entities PRIMARY KEY (number);
-- Name: entity_search pk_entity_search; Type: CONSTRAINT; Schema: public; Owner: -
ALTER TABLE ONLY public.entity_search
    ADD CONSTRAINT pk_entity_search PRIMARY KEY (rowid);
-- Name: idempotency_keys pk_idempotency_keys; Type: CONSTRAINT; Schema: public; Owner: -
ALTER TABLE ONLY public.idempotency_keys
    ADD CONSTRAINT pk_idempotency_keys PRIMARY KEY (key);
-- Name: sightings pk_sightings; Type: CONSTRAINT; Schema: public; Owner: -
ALTER TABLE ONLY public.sightings
    ADD CONSTRAINT pk_sightings PRIMARY KEY (number);
-- Name: sources pk_sources; Type: CONSTRAINT; Schema: public; Owner: -
ALTER TABLE ONLY public.sources
    ADD CONSTRAINT pk_sources PRIMARY KEY (source_id);
-- Name: sync_runs pk_sync_runs; Type: CONSTRAINT; Schema: public; Owner: -
ALTER TABLE ONLY public.sync_runs
    ADD CONSTRAINT pk_sync_runs PRIMARY KEY (run_id);
-- Name: devices uq_devices_device_id; Type: CONSTRAINT; Schema: public; Owner: -
ALTER TABLE ONLY public.devices
    ADD CONSTRAINT uq_devices_device_id UNIQUE (device_id);
-- Name: entities uq_entities_id; Type: CONSTRAINT; Schema: public; Owner: -
ALTER TABLE ONLY public.entities
    ADD CONSTRAINT uq_entities_id UNIQUE (id);
-- Name: ix_areas_area_id; Type: INDEX; Schema: public; Owner: -
CREATE INDEX ix_areas_area_id ON public.areas USING btree (area_id, source_id);
-- Name: ix_changes_key; Type: INDEX; Schema: public; Owner: -
CREATE INDEX ix_changes_key ON public.changes USING btree (kind, key);
-- Name: ix_changes_run_id; Type: INDEX; Schema: public; Owner: -
CREATE INDEX ix_changes_run_id ON public.changes USING btree (run_id) WHERE (run_id IS NOT NULL);
-- Name: ix_device_ids_device_id; Type: INDEX; Schema: public; Owner: -
CREATE INDEX ix_device_ids_device_id ON public.device_ids USING btree (device_id);
-- Name: ix_device_search_document; Type: INDEX; Schema: public; Owner: -
CREATE INDEX ix_device_search_document ON public.device_search USING gin (document) WITH (fastupdate='on', gin_pending_list_limit='256');
-- Name: ix_devices_area_id; Type: INDEX; Schema: public; Owner: -
CREATE INDEX ix_devices_area_id ON public.devices USING btree (area_id NULLS FIRST, number) WHERE (removed_at IS NULL);
-- Name: ix_devices_created_at; Type: INDEX; Schema: public; Owner: -
CREATE INDEX ix_devices_created_at ON public.devices USING btree (created_at NULLS FIRST, number) WHERE (removed_at IS NULL);
-- Name: ix_devices_disabled_by; Type: INDEX; Schema: public; Owner: -
CREATE INDEX ix_devices_disabled_by ON public.devices USING btree (disabled_by NULLS FIRST, number) WHERE (removed_at IS NULL);
-- Name: ix_devices_integration; Type: INDEX; Schema: public; Owner: -
CREATE INDEX ix_devices_integration ON public.devices USING btree (integration NULLS FIRST, number) WHERE (removed_at IS NULL);
-- Name: ix_devices_manufacturer; Type: INDEX; Schema: public; Owner: -
CREATE INDEX ix_devices_manufacturer ON public.devices USING btree (manufacturer NULLS FIRST, number) WHERE (removed_at IS NULL);
-- Name: ix_devices_model; Type: INDEX; Schema: public; Owner: -
CREATE INDEX ix_devices_model ON public.devices USING btree (model NULLS FIRST, number) WHERE (removed_at IS NULL);
-- Name: ix_devices_modified_at; Type: INDEX; Schema: public; Owner: -
CREATE INDEX ix_devices_modified_at ON public.devices USING btree (modified_at NULLS FIRST, number) WHERE (removed_at IS NULL);
-- Name: ix_devices_name; Type: INDEX; Schema: public; Owner: -
CREATE INDEX ix_devices_name ON public.devices USING btree (name NULLS FIRST, number) WHERE (removed_at IS NULL);
-- Name: ix_devices_source_id; Type: INDEX; Schema: public; Owner: -
CREATE INDEX ix_devices_source_id ON public.devices USING btree (source_id NULLS FIRST, number) WHERE (removed_at IS NULL);
-- Name: ix_entities_area_id; Type: INDEX; Schema: public; Owner: -
CREATE INDEX ix_entities_area_id ON public.entities USING btree (area_id NULLS FIRST, number) WHERE (removed_at IS NULL);
-- Name: ix_entities_created_at; Type: INDEX; Schema: public; Owner: -
CREATE INDEX ix_entities_created_at ON public.entities USING btree (created_at NULLS FIRST, number) WHERE (removed_at IS NULL);
-- Name: ix_entities_disabled_by; Type: INDEX; Schema: public; Owner: -
CREATE INDEX ix_entities_disabled_by ON public.entities USING btree (disabled_by NULLS FIRST, number) WHERE (removed_at IS NULL);
-- Name: ix_entities_domain; Type: INDEX; Schema: public; Owner: -
CREATE INDEX ix_entities_domain ON public.entities USING btree (domain NULLS FIRST, number) WHERE (removed_at IS NULL);
-- Name: ix_entities_entity_id; Type: INDEX; Schema: public; Owner: -
CREATE INDEX ix_entities_entity_id ON public.entities USING btree (entity_id NULLS FIRST, number) WHERE (removed_at IS NULL);
-- Name: ix_entities_modified_at; Type: INDEX; Schema: public; Owner: -
CREATE INDEX ix_entities_modified_at ON public.entities USING btree (modified_at NULLS FIRST, number) WHERE (removed_at IS NULL);
-- Name: ix_entities_name; Type: INDEX; Schema: public; Owner: -
CREATE INDEX ix_entities_name ON public.entities USING btree (name NULLS FIRST, number) WHERE (removed_at IS NULL);
-- Name: ix_entities_of_device; Type: INDEX; Schema: public; Owner: -
CREATE INDEX ix_entities_of_device ON public.entities USING btree (device_id, removed_at);
-- Name: ix_entities_platform; Type: INDEX; Schema: public; Owner: -
CREATE INDEX ix_entities_platform ON public.entities USING btree (platform NULLS FIRST, number) WHERE (removed_at IS NULL);
-- Name: ix_entities_source_id; Type: INDEX; Schema: public; Owner: -
CREATE INDEX ix_entities_source_id ON public.entities USING btree (source_id NULLS FIRST, number) WHERE (removed_at IS NULL);
-- Name: ix_entity_search_document; Type: INDEX; Schema: public; Owner: -
CREATE INDEX ix_entity_search_document ON public.entity_search USING gin (document) WITH (fastupdate='on', gin_pending_list_limit='256');
-- Name: ix_idempotency_keys_kept_at; Type: INDEX; Schema: public; Owner: -
CREATE INDEX ix_idempotency_keys_kept_at ON public.idempotency_keys USING btree (kept_at);
-- Name: ix_sightings_last_seen; Type: INDEX; Schema: public; Owner: -
CREATE INDEX ix_sightings_last_seen ON public.sightings USING btree (last_seen);
-- Name: ix_sync_runs_source_id; Type: INDEX; Schema: public; Owner: -
CREATE INDEX ix_sync_runs_source_id ON public.sync_runs USING btree (source_id, started_at);
-- Name: uq_entities_source_id_entity_id; Type: INDEX; Schema: public; Owner: -
CREATE UNIQUE INDEX uq_entities_source_id_entity_id ON public.entities USING btree (source_id, entity_id) WHERE (removed_at IS NULL);
-- Name: areas fk_areas_source_id; Type: FK CONSTRAINT; Schema: public; Owner: -
ALTER TABLE ONLY public.areas
    ADD CONSTRAINT fk_areas_source_id FOREIGN KEY (source_id) REFERENCES public.sources(source_id);
-- Name: device_ids fk_device_ids_device_id; Type: FK CONSTRAINT; Schema: public; Owner: -
ALTER TABLE ONLY public.device_ids
    ADD CONSTRAINT fk_device_ids_device_id FOREIGN KEY (device_id) REFERENCES public.devices(device_id);
-- Name: devices fk_devices_source_id; Type: FK CONSTRAINT; Schema: public; Owner: -
ALTER TABLE ONLY public.devices
    ADD CONSTRAINT fk_devices_source_id FOREIGN KEY (source_id) REFERENCES public.sources(source_id);
-- Name: entities fk_entities_device_id; Type: FK CONSTRAINT; Schema: public; Owner: -
ALTER TABLE ONLY public.entities
    ADD CONSTRAINT fk_entities_device_id FOREIGN KEY (device_id) REFERENCES public.devices(device_id);
-- Name: entities fk_entities_source_id; Type: FK CONSTRAINT; Schema: public; Owner: -
ALTER TABLE ONLY public.entities
    ADD CONSTRAINT fk_entities_source_id FOREIGN KEY (source_id) REFERENCES public.sources(source_id);
-- Name: sightings fk_sightings_number; Type: FK CONSTRAINT; Schema: public; Owner: -
ALTER TABLE ONLY public.sightings
    ADD CONSTRAINT fk_sightings_number FOREIGN KEY (number) REFERENCES public.devices(number);
-- Name: sync_runs fk_sync_runs_source_id; Type: FK CONSTRAINT; Schema: public; Owner: -
ALTER TABLE ONLY public.sync_runs
    ADD CONSTRAINT fk_sync_runs_source_id FOREIGN KEY (source_id) REFERENCES public.sources(source_id);
-- PostgreSQL database dump complete

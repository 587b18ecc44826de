-- The index: a row for every instance that the edge or the archive has. Version 10.
--
-- It is what `migrations` make of the versions before it; a new table stands here and there.
--
-- UIDs and attributes are patient data: this file exists only encrypted (SQLCipher). Times are POSIX
-- seconds. Attributes are DICOM JSON (PS3.18 F.2). Counters are kept by the triggers at the end, so
-- that no code path can let them drift.

-- Rows of studies are narrow: lists, deep pages and wild cards go through all of them.
CREATE TABLE studies (
    id               INTEGER PRIMARY KEY,
    study_uid        TEXT NOT NULL UNIQUE,
    patient_id       TEXT NOT NULL DEFAULT '',
    birth_date       TEXT NOT NULL DEFAULT '',
    sex              TEXT NOT NULL DEFAULT '',
    study_date       TEXT NOT NULL DEFAULT '',
    study_time       TEXT NOT NULL DEFAULT '',
    accession_number TEXT NOT NULL DEFAULT '',
    study_id         TEXT NOT NULL DEFAULT '',
    description      TEXT NOT NULL DEFAULT '',
    modalities       TEXT NOT NULL DEFAULT '',    -- of its series, each once, between backslashes
    fingerprint      TEXT NOT NULL DEFAULT '',    -- what the archive last said of the study
    created          REAL NOT NULL,
    series_count     INTEGER NOT NULL DEFAULT 0,  -- these three count what is shown
    instance_count   INTEGER NOT NULL DEFAULT 0,
    online_count     INTEGER NOT NULL DEFAULT 0,
    edge_only_count  INTEGER NOT NULL DEFAULT 0,  -- instances that no archive vouches for, shown or not
    upload_first     INTEGER NOT NULL DEFAULT 0   -- a person wants the archive to get it before all else
) STRICT;
CREATE INDEX studies_by_patient ON studies (patient_id);
CREATE INDEX studies_by_date ON studies (study_date, study_time);
CREATE INDEX studies_by_accession ON studies (accession_number);
CREATE INDEX studies_by_description ON studies (description);
CREATE INDEX studies_only_here ON studies (id) WHERE edge_only_count > 0;

CREATE TABLE study_attributes (
    study_id   INTEGER PRIMARY KEY REFERENCES studies ON DELETE CASCADE,
    attributes TEXT NOT NULL                      -- of patient and study
) STRICT;

-- Edits of patient and study that were made in the archive. Objects and documents of instances stay as
-- they came. What is in force stands in the columns and attributes of the study, so that searches find
-- it, and is laid over documents as they are read.
CREATE TABLE said (
    study_id   INTEGER PRIMARY KEY REFERENCES studies ON DELETE CASCADE,
    attributes TEXT NOT NULL                      -- what the primary archive last said of it
) STRICT;
CREATE TABLE overlays (
    study_id   INTEGER PRIMARY KEY REFERENCES studies ON DELETE CASCADE,
    attributes TEXT NOT NULL,                     -- that hold in place of those of its instances
    original   TEXT NOT NULL,                     -- the study's attributes without them
    edition    TEXT NOT NULL                      -- changes when any of them does
) STRICT;
CREATE TABLE edits (
    study_id  INTEGER NOT NULL REFERENCES studies ON DELETE CASCADE,
    version   INTEGER NOT NULL,                   -- counts from 1
    at        REAL NOT NULL,
    archive   TEXT NOT NULL,
    before    TEXT NOT NULL,                      -- attributes that were edited, as they were shown
    after     TEXT NOT NULL,
    announced INTEGER,                            -- the change feed has its instances up to this id; NULL: all
    PRIMARY KEY (study_id, version)
) STRICT, WITHOUT ROWID;
CREATE INDEX edits_to_announce ON edits (study_id) WHERE announced IS NOT NULL;

-- Person names, as they are searched by: every component group, folded for matching without regard to
-- case (PS3.4 C.2.2.2.1), and, for fuzzy matching, its words and their sounds. What begins with some
-- text is a range of this table.
CREATE TABLE person_names (
    tag      TEXT NOT NULL,
    kind     TEXT NOT NULL,                       -- NAME, WORD, SOUND
    text     TEXT NOT NULL,
    study_id INTEGER NOT NULL REFERENCES studies ON DELETE CASCADE,
    PRIMARY KEY (tag, kind, text, study_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX person_names_by_study ON person_names (study_id);

CREATE TABLE series (
    id             INTEGER PRIMARY KEY,
    study_id       INTEGER NOT NULL REFERENCES studies ON DELETE CASCADE,
    series_uid     TEXT NOT NULL,
    modality       TEXT NOT NULL DEFAULT '',
    series_number  INTEGER,
    created        REAL NOT NULL,
    instance_count INTEGER NOT NULL DEFAULT 0,    -- shown ones, here and below
    online_count   INTEGER NOT NULL DEFAULT 0,
    sop_classes    TEXT NOT NULL DEFAULT '',      -- of its instances, each once, between backslashes
    attributes     TEXT NOT NULL,
    previewed      INTEGER NOT NULL DEFAULT 0,    -- instances it had when its preview was chosen
    UNIQUE (study_id, series_uid)
) STRICT;
CREATE INDEX series_by_uid ON series (series_uid);
CREATE INDEX series_by_modality ON series (modality, study_id);
CREATE INDEX series_by_arrival ON series (created);
-- Reports, key images and presentations of which something is only in the archive.
CREATE INDEX reports_elsewhere ON series (study_id)
    WHERE modality IN ('SR', 'DOC', 'KO', 'PR') AND online_count < instance_count;

-- Who works on an instance knows it by its id: that of one which was deleted is never given again.
CREATE TABLE instances (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    study_id        INTEGER NOT NULL REFERENCES studies ON DELETE CASCADE,
    series_id       INTEGER NOT NULL REFERENCES series ON DELETE CASCADE,
    sop_uid         TEXT NOT NULL UNIQUE,
    sop_class_uid   TEXT NOT NULL DEFAULT '',
    transfer_syntax TEXT NOT NULL DEFAULT '',     -- '' until the bytes were seen
    instance_number INTEGER,
    frame_count     INTEGER NOT NULL DEFAULT 0,
    availability    TEXT NOT NULL,
    object          TEXT UNIQUE,                  -- name in the store while ONLINE
    key_id          BLOB,                         -- study key that it is, or was, sealed with
    content_bytes   INTEGER NOT NULL DEFAULT 0,
    sealed_bytes    INTEGER NOT NULL DEFAULT 0,   -- on disk; 0 unless ONLINE
    meta_digest     BLOB,                         -- SHA-256 of preamble and group 0002
    dataset_digest  BLOB,                         -- SHA-256 behind preamble and group 0002
    custody         TEXT NOT NULL,
    tries           INTEGER NOT NULL DEFAULT 0,   -- since custody last changed
    retry_at        REAL NOT NULL DEFAULT 0,
    reason          TEXT NOT NULL DEFAULT '',     -- the archive's own words
    verified        REAL NOT NULL DEFAULT 0,      -- when the archive was last seen to have these bytes
    origin          TEXT NOT NULL,
    peer            TEXT NOT NULL DEFAULT '',     -- who sent it
    received        REAL NOT NULL,                -- when these bytes came
    last_used       REAL NOT NULL,
    priority        INTEGER NOT NULL DEFAULT 3,   -- of its upload: 0 a person's wish, 1 STAT, 2 HIGH, 3, 4 LOW
    behind          INTEGER NOT NULL DEFAULT 1,   -- 0: of its series' preview, before the others
    withheld        TEXT NOT NULL DEFAULT ''      -- from whoever looks: REJECTED, TRASH; '' from nobody
) STRICT;
CREATE INDEX instances_by_series ON instances (series_id, instance_number, id);
CREATE INDEX instances_by_study ON instances (study_id);
CREATE INDEX instances_by_work ON instances (custody, retry_at, study_id)
    WHERE custody IN ('EDGE_ONLY', 'SENT', 'ACKNOWLEDGED', 'REFUSED') AND availability = 'ONLINE';
-- The order in which the archive gets what it lacks.
CREATE INDEX instances_in_turn
    ON instances (priority, behind, study_id, series_id, instance_number, id)
    WHERE custody IN ('EDGE_ONLY', 'SENT', 'REFUSED') AND availability = 'ONLINE'
    AND (custody <> 'REFUSED' OR retry_at > 0);
CREATE INDEX instances_by_use ON instances (last_used)
    WHERE custody = 'VERIFIED' AND availability = 'ONLINE';
CREATE INDEX instances_by_key ON instances (key_id) WHERE key_id IS NOT NULL;
CREATE INDEX instances_withheld ON instances (withheld, study_id) WHERE withheld <> '';
CREATE INDEX notes_in_archive ON instances (id)
    WHERE sop_class_uid = '1.2.840.10008.5.1.4.1.1.88.59' AND availability = 'NEARLINE';

-- Of what has instances, all of them withheld: no search finds it. The triggers keep these.
CREATE TABLE hidden_studies (
    study_id INTEGER PRIMARY KEY REFERENCES studies ON DELETE CASCADE
) STRICT;
CREATE TABLE hidden_series (
    series_id INTEGER PRIMARY KEY REFERENCES series ON DELETE CASCADE,
    study_id  INTEGER NOT NULL
) STRICT;

-- What rejection notes refer to (IHE RAD-66), whether it is here, was here, or is still to come.
CREATE TABLE rejections (
    sop_uid  TEXT NOT NULL,
    note_uid TEXT NOT NULL,                       -- the Key Object Selection that says so
    code     TEXT NOT NULL,                       -- its title (DCM)
    since    REAL NOT NULL,
    PRIMARY KEY (sop_uid, note_uid)
) STRICT, WITHOUT ROWID;
CREATE INDEX rejections_by_note ON rejections (note_uid);

-- What is in the trash (withheld is TRASH), and why.
CREATE TABLE trash (
    instance_id INTEGER PRIMARY KEY REFERENCES instances ON DELETE CASCADE,
    record      TEXT NOT NULL,                    -- the sealed file that tells a rebuild of it
    archive     TEXT NOT NULL,                    -- that deleted it
    reason      TEXT NOT NULL,
    since       REAL NOT NULL
) STRICT;
CREATE INDEX trash_by_record ON trash (record);
CREATE INDEX trash_by_time ON trash (since);

-- Beside the narrow rows, so that scanning those stays quick.
CREATE TABLE metadata (
    instance_id INTEGER PRIMARY KEY REFERENCES instances ON DELETE CASCADE,
    document    BLOB NOT NULL,                    -- the instance's JSON object, deflated
    layout      BLOB                              -- bulk values and frames; NULL until seen
) STRICT;

-- Same UID, other bytes: the second is kept here until a person decides.
CREATE TABLE quarantine (
    id              INTEGER PRIMARY KEY,
    study_uid       TEXT NOT NULL,
    series_uid      TEXT NOT NULL,
    sop_uid         TEXT NOT NULL,
    object          TEXT NOT NULL UNIQUE,
    key_id          BLOB NOT NULL,
    content_bytes   INTEGER NOT NULL,
    sealed_bytes    INTEGER NOT NULL,
    transfer_syntax TEXT NOT NULL,
    dataset_digest  BLOB NOT NULL,
    origin          TEXT NOT NULL,
    peer            TEXT NOT NULL,
    received        REAL NOT NULL,
    UNIQUE (sop_uid, transfer_syntax, dataset_digest)
) STRICT;

-- Since when the archive refuses an instance (custody REFUSED) or has it otherwise (CONFLICT), and what
-- a person decided about it. The triggers make the row, and let it go once the archive has the instance.
CREATE TABLE disputes (
    instance_id     INTEGER PRIMARY KEY REFERENCES instances ON DELETE CASCADE,
    since           REAL NOT NULL,
    refusals        INTEGER NOT NULL DEFAULT 0,   -- how often it was refused
    given_up        REAL NOT NULL DEFAULT 0,      -- when a person gave it up; 0 if nobody did
    decision        TEXT NOT NULL DEFAULT '',     -- of a conflict, until it is carried out
    words           TEXT NOT NULL DEFAULT '',     -- why it was given up, or why a decision failed
    digest          BLOB,                         -- what the archive has: SHA-256 of its data set,
    transfer_syntax TEXT NOT NULL DEFAULT '',     -- how that is encoded,
    content_bytes   INTEGER NOT NULL DEFAULT 0    -- and how long its file is
) STRICT;
CREATE INDEX disputes_by_time ON disputes (since);
CREATE INDEX disputes_to_carry_out ON disputes (decision) WHERE decision <> '';

-- What is sent in place of an instance: a copy of it that the archive takes. The instance stays as it
-- is, and here: the archive never has its bytes.
CREATE TABLE remedies (
    instance_id     INTEGER PRIMARY KEY REFERENCES instances ON DELETE CASCADE,
    transfer_syntax TEXT NOT NULL,                -- '': that of the instance
    attributes      TEXT NOT NULL,                -- those that are supplied, DICOM JSON
    sent_digest     BLOB                          -- of the data set that was sent last; NULL before
) STRICT;

-- What an archive has in place of an instance since it corrected patient or study: all beside those was
-- seen to be the same. The instance stays as it came.
CREATE TABLE corrected (
    instance_id INTEGER NOT NULL REFERENCES instances ON DELETE CASCADE,
    archive     TEXT NOT NULL,                    -- '' is the primary one
    digest      BLOB NOT NULL,                    -- SHA-256 of its data set there
    PRIMARY KEY (instance_id, archive)
) STRICT, WITHOUT ROWID;

-- What was deleted on purpose: what the archive still has of it does not come back here. Whoever else
-- sends it again makes it an instance again.
CREATE TABLE tombstones (
    sop_uid     TEXT PRIMARY KEY,
    study_uid   TEXT NOT NULL,
    series_uid  TEXT NOT NULL,
    record      TEXT NOT NULL,                    -- the sealed file that tells a rebuild of it
    deleted     REAL NOT NULL,
    withdrawal  TEXT NOT NULL,                    -- whether the archive shall delete it, too
    tries       INTEGER NOT NULL DEFAULT 0,
    retry_at    REAL NOT NULL DEFAULT 0,
    reason      TEXT NOT NULL DEFAULT '',         -- the archive's own words
    fingerprint TEXT NOT NULL DEFAULT '',         -- of its study, once nothing of that is left here,
    listed      REAL NOT NULL DEFAULT 0           -- when the archive listed the study so
) STRICT, WITHOUT ROWID;
CREATE INDEX tombstones_by_study ON tombstones (study_uid, series_uid);
CREATE INDEX tombstones_by_record ON tombstones (record);
CREATE INDEX tombstones_by_work ON tombstones (retry_at) WHERE withdrawal = 'DUE';

-- Every change of content, in the order of commit; the change feed reads it. The numbers have no
-- gaps. Those of an index that is made anew begin above all that were given before it was lost (a box
-- counts fewer changes than milliseconds), so that who follows by number reads it from its beginning.
CREATE TABLE changes (
    sequence   INTEGER PRIMARY KEY AUTOINCREMENT,
    action     TEXT NOT NULL,                     -- CREATE, UPDATE, DELETE
    study_uid  TEXT NOT NULL,
    series_uid TEXT NOT NULL,
    sop_uid    TEXT NOT NULL,
    at         REAL NOT NULL
) STRICT;
CREATE INDEX changes_by_instance ON changes (sop_uid);
CREATE INDEX changes_by_time ON changes (at);
INSERT INTO sqlite_sequence (name, seq) VALUES ('changes', unixepoch() * 1000);

-- What is swept of an archive: every study that it lists, again and again. A sweep that is complete
-- has met whatever was there from its beginning to its end.
CREATE TABLE sweeps (
    archive    TEXT PRIMARY KEY,
    number     INTEGER NOT NULL,                  -- of the one that is under way
    began      REAL NOT NULL,                     -- when that did,
    before     REAL NOT NULL,                     -- the one before it,
    earlier    REAL NOT NULL,                     -- and the one before that
    examined   INTEGER NOT NULL DEFAULT 0,        -- the last one of which the absences were examined
    gone       INTEGER NOT NULL DEFAULT 0,        -- studies that were taken for deleted there,
    gone_since REAL NOT NULL DEFAULT 0,           -- on the day that began then
    lost       INTEGER NOT NULL DEFAULT 0,        -- instances that it was seen to have lost,
    lost_at    REAL NOT NULL DEFAULT 0            -- the last of them then
) STRICT, WITHOUT ROWID;

-- When an archive was last seen to have a study. Rows are narrow, for each sweep writes all of them.
CREATE TABLE sightings (
    study_id INTEGER NOT NULL REFERENCES studies ON DELETE CASCADE,
    archive  TEXT NOT NULL,
    sweep    INTEGER NOT NULL,                    -- the last one that listed it
    reviewed REAL NOT NULL,                       -- when each of its instances was last asked about
    PRIMARY KEY (study_id, archive)
) STRICT, WITHOUT ROWID;
CREATE INDEX sightings_by_review ON sightings (archive, reviewed);

-- Studies that the primary archive does not list any more, or not all of them.
CREATE TABLE absences (
    study_id INTEGER PRIMARY KEY REFERENCES studies ON DELETE CASCADE,
    state    TEXT NOT NULL,                       -- SUSPECTED, HELD for a person, who said TRASH or AGAIN
    is_whole INTEGER NOT NULL,                    -- the study is not listed at all
    sweep    INTEGER NOT NULL,                    -- in which it was suspected
    since    REAL NOT NULL
) STRICT;

CREATE TABLE cursors (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE archives (
    name    TEXT PRIMARY KEY,
    role    TEXT NOT NULL DEFAULT '',             -- primary, failover, copy; '' if it is configured no more
    online  INTEGER NOT NULL,
    since   REAL NOT NULL,
    reason  TEXT NOT NULL DEFAULT '',
    lasting INTEGER NOT NULL DEFAULT 0,           -- it is offline until a person does something
    contact REAL                                  -- last time that it answered
) STRICT, WITHOUT ROWID;

-- Custody with the archives beside the primary one, whose custody is that of the instance's row. An
-- instance that has no row here is not owed to them. Columns as in instances.
CREATE TABLE copies (
    archive     TEXT NOT NULL,
    instance_id INTEGER NOT NULL REFERENCES instances ON DELETE CASCADE,
    custody     TEXT NOT NULL DEFAULT 'EDGE_ONLY',
    tries       INTEGER NOT NULL DEFAULT 0,
    retry_at    REAL NOT NULL DEFAULT 0,
    reason      TEXT NOT NULL DEFAULT '',
    verified    REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (archive, instance_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX copies_by_instance ON copies (instance_id);
CREATE INDEX copies_by_work ON copies (archive, custody, retry_at)
    WHERE custody IN ('EDGE_ONLY', 'SENT', 'ACKNOWLEDGED', 'REFUSED');

-- Bundles that were written to a disk for a courier. One that was closed stays known: what is on a
-- copy of its disk counts no more.
CREATE TABLE courier_bundles (
    bundle TEXT PRIMARY KEY,
    packed REAL NOT NULL,                         -- when it was begun
    closed REAL NOT NULL DEFAULT 0                -- when it was done with; 0 before
) STRICT, WITHOUT ROWID;

-- What is in them. OVERTAKEN: the archive itself has spoken of the instance since.
CREATE TABLE courier (
    instance_id    INTEGER NOT NULL REFERENCES instances ON DELETE CASCADE,
    bundle         TEXT NOT NULL REFERENCES courier_bundles ON DELETE CASCADE,
    packed         REAL NOT NULL,
    dataset_digest BLOB NOT NULL,                 -- of the bytes that were packed
    outcome        TEXT NOT NULL DEFAULT '',      -- by the receipt; '' while it is under way
    PRIMARY KEY (instance_id, bundle)
) STRICT, WITHOUT ROWID;
CREATE INDEX courier_by_outcome ON courier (outcome, bundle);

CREATE TABLE tokens (
    token_id TEXT PRIMARY KEY,
    digest   BLOB NOT NULL UNIQUE,
    role     TEXT NOT NULL,
    name     TEXT NOT NULL,
    created  REAL NOT NULL,
    expires  REAL,                                -- NULL: never
    scope    TEXT NOT NULL DEFAULT '{}',          -- what is left of the role, JSON
    used_day TEXT NOT NULL DEFAULT '',            -- the last one, YYYY-MM-DD; '' if it was never used
    used_from TEXT NOT NULL DEFAULT ''            -- an address, on that day
) STRICT, WITHOUT ROWID;

-- People who may log in, by the name that they type.
CREATE TABLE users (
    name         TEXT PRIMARY KEY,
    display_name TEXT NOT NULL,
    role         TEXT NOT NULL,
    state        TEXT NOT NULL,                   -- invited, active or disabled
    password     TEXT NOT NULL DEFAULT '',        -- its Argon2id hash in PHC form; '' if there is none
    created      REAL NOT NULL,
    last_seen    REAL NOT NULL DEFAULT 0,         -- the last log-in; 0 if there was none
    known_from   TEXT NOT NULL DEFAULT '',        -- where they logged in lately, between spaces
    handle       BLOB NOT NULL UNIQUE,            -- random: what passkeys call them (WebAuthn 5.4.3)
    totp         BLOB,                            -- the shared secret (RFC 6238)
    totp_new     BLOB,                            -- one that is not confirmed yet
    totp_step    INTEGER NOT NULL DEFAULT 0,      -- the last one that was used: none counts twice
    scope        TEXT NOT NULL DEFAULT '{}'       -- what is left of the role, JSON
) STRICT, WITHOUT ROWID;

-- One-time codes that were handed out: to be invited, or after a reset. Of a name that is empty: to
-- be the first admin.
CREATE TABLE codes (
    name   TEXT PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    until  REAL NOT NULL
) STRICT, WITHOUT ROWID;

-- What stands in for a second factor that is lost, once each.
CREATE TABLE recovery_codes (
    name   TEXT NOT NULL REFERENCES users ON DELETE CASCADE,
    digest BLOB NOT NULL,
    PRIMARY KEY (name, digest)
) STRICT, WITHOUT ROWID;

CREATE TABLE passkeys (
    credential_id BLOB PRIMARY KEY,
    name          TEXT NOT NULL REFERENCES users ON DELETE CASCADE,
    label         TEXT NOT NULL,                  -- what its holder calls it
    rp_id         TEXT NOT NULL,                  -- the name of the box that it was made for
    public_key    BLOB NOT NULL,                  -- as COSE
    sign_count    INTEGER NOT NULL,
    created       REAL NOT NULL,
    last_used     REAL NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX passkeys_by_name ON passkeys (name);

-- Who is logged in, by the digest of what their browser shows.
CREATE TABLE sessions (
    digest     BLOB PRIMARY KEY,
    session_id TEXT NOT NULL UNIQUE,              -- to be shown, and no secret
    name       TEXT NOT NULL,
    issuer     TEXT NOT NULL,                     -- who vouches for them; '' if they are a user
    role       TEXT NOT NULL,                     -- as the issuer has it; of a user, that of users counts
    proved     TEXT NOT NULL,                     -- by what, as edge.access.sessions has it
    began      REAL NOT NULL,
    used       REAL NOT NULL,
    until      REAL NOT NULL,
    address    TEXT NOT NULL,
    agent      TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_name ON sessions (name);

-- People for whom an identity provider vouches (OpenID Connect), by what it calls them.
CREATE TABLE identities (
    issuer       TEXT NOT NULL,
    subject      TEXT NOT NULL,
    name         TEXT NOT NULL UNIQUE,            -- what they are called here; no user is called so
    display_name TEXT NOT NULL,
    role         TEXT NOT NULL,                   -- as the issuer had it last
    state        TEXT NOT NULL DEFAULT 'active',  -- or disabled, here
    vouched      REAL NOT NULL,                   -- when the issuer said last who they are; 0: no more
    refresh      BLOB,                            -- sealed: by which it is asked again
    scope        TEXT NOT NULL DEFAULT '{}',      -- what is left of the role here, JSON
    PRIMARY KEY (issuer, subject)
) STRICT, WITHOUT ROWID;

-- Studies that were shared by a link: whoever has its secret sees the one study until then. A link
-- goes with its study, and with what its maker may do: once they are disabled or narrowed, it is gone.
CREATE TABLE links (
    link_id     TEXT PRIMARY KEY,                 -- to be shown, and no secret
    digest      BLOB NOT NULL UNIQUE,
    study_uid   TEXT NOT NULL,
    maker       TEXT NOT NULL,                    -- a user, or somebody of identities
    note        TEXT NOT NULL,                    -- for whom, in the maker's words
    scope       TEXT NOT NULL,                    -- what who opens it may, JSON
    created     REAL NOT NULL,
    until       REAL NOT NULL,
    opened      INTEGER NOT NULL DEFAULT 0,       -- so many times
    last_opened REAL NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX links_by_study ON links (study_uid);
CREATE INDEX links_by_maker ON links (maker);

-- Who opened everything to read, for a while, and why (`edge.access.emergency`).
CREATE TABLE emergencies (
    emergency_id TEXT PRIMARY KEY,                -- the record names it; no secret
    session_id   TEXT NOT NULL,                   -- for which it is, and with which it ends
    name         TEXT NOT NULL,
    issuer       TEXT NOT NULL,                   -- who vouches for them; '' if they are a user
    role         TEXT NOT NULL,
    address      TEXT NOT NULL,                   -- where it was begun from
    proved       TEXT NOT NULL,                   -- by what it was proved again who that is
    reason       TEXT NOT NULL,                   -- in their own words: it may name a patient
    began        REAL NOT NULL,
    until        REAL NOT NULL,                   -- its end, if nothing ends it before
    ended        REAL NOT NULL DEFAULT 0,         -- 0: it is open
    why_ended    TEXT NOT NULL DEFAULT '',
    told         INTEGER NOT NULL DEFAULT 0,      -- its end is in the record
    seen         REAL NOT NULL DEFAULT 0,         -- when an admin looked at it; 0: it is an alarm
    seen_by      TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX emergencies_open ON emergencies (session_id) WHERE ended = 0;

-- Patients who will come: a worklist, or a program, says so, and their priors are fetched before.
CREATE TABLE expected (
    patient_id TEXT NOT NULL,
    issuer     TEXT NOT NULL DEFAULT '',          -- of the Patient ID; '' if it is not known
    modality   TEXT NOT NULL DEFAULT '',          -- of what will be made; '' if it is not known
    body_part  TEXT NOT NULL DEFAULT '',
    date       TEXT NOT NULL,                     -- YYYYMMDD, of the clock on the wall
    source     TEXT NOT NULL DEFAULT '',          -- who says so
    announced  REAL NOT NULL,
    PRIMARY KEY (date, patient_id, issuer, modality, body_part, source)
) STRICT, WITHOUT ROWID;

-- What a person wants to be here at all times; rules of the configuration say more.
CREATE TABLE pins (
    kind   TEXT NOT NULL,                         -- study, patient
    value  TEXT NOT NULL,                         -- Study Instance UID, or Patient ID
    issuer TEXT NOT NULL DEFAULT '',              -- of the Patient ID; '' for any
    added  REAL NOT NULL,
    who    TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (kind, value, issuer)
) STRICT, WITHOUT ROWID;

-- DICOM peers that a person approved, beside those of the configuration, which win.
CREATE TABLE peers (
    ae_title         TEXT PRIMARY KEY,
    host             TEXT NOT NULL,               -- that it must call from; '' for any
    port             INTEGER NOT NULL,
    may              TEXT NOT NULL,               -- rights, between spaces
    name             TEXT NOT NULL DEFAULT '',
    tls              INTEGER NOT NULL DEFAULT 0,  -- whether we speak it when we call
    certificate      TEXT NOT NULL DEFAULT '',    -- that it must show over TLS
    max_associations INTEGER NOT NULL DEFAULT 0,  -- 0: no limit of its own
    approved         REAL NOT NULL,
    who              TEXT NOT NULL DEFAULT ''
) STRICT, WITHOUT ROWID;

-- Who called and is no peer, where they are listed. Bounded by `cache.strangers`.
CREATE TABLE strangers (
    ae_title    TEXT NOT NULL,
    host        TEXT NOT NULL,                    -- the address that it called from
    called      TEXT NOT NULL,                    -- the AE title that it called
    services    TEXT NOT NULL,                    -- that it asked for, between commas
    why         TEXT NOT NULL,                    -- it was refused
    certificate TEXT NOT NULL DEFAULT '',         -- SHA-256 of the one that it showed
    first_seen  REAL NOT NULL,
    last_seen   REAL NOT NULL,
    calls       INTEGER NOT NULL,
    PRIMARY KEY (ae_title, host)
) STRICT, WITHOUT ROWID;

-- Trouble with associations, and those without any (kind 'fine'). Bounded by `cache.associations`.
CREATE TABLE associations (
    direction      TEXT NOT NULL,                 -- 'in': it called; 'out': we called it
    ae_title       TEXT NOT NULL,                 -- the other's; '' before it said one
    host           TEXT NOT NULL,                 -- its address, as far as it is known
    kind           TEXT NOT NULL,
    about          TEXT NOT NULL,                 -- tells several of one kind apart
    known          INTEGER NOT NULL,              -- whether it is a peer
    called         TEXT NOT NULL,                 -- the AE title that was called, last
    implementation TEXT NOT NULL,                 -- its Implementation Version Name, last
    what           TEXT NOT NULL,                 -- a sentence
    changes        TEXT NOT NULL,                 -- JSON: what to change, on which side
    contexts       TEXT NOT NULL,                 -- JSON: presentation contexts refused, last
    first_seen     REAL NOT NULL,
    last_seen      REAL NOT NULL,
    times          INTEGER NOT NULL,
    PRIMARY KEY (direction, ae_title, host, kind, about)
) STRICT, WITHOUT ROWID;

-- What peers asked us to vouch for (storage commitment, PS3.4 J). A transaction is decided once each of
-- its instances is, and over once the peer has heard it. What is known of instances stands in their rows.
CREATE TABLE commitments (
    id              INTEGER PRIMARY KEY,
    peer            TEXT NOT NULL,                -- AE title of who asked
    transaction_uid TEXT NOT NULL,
    asked           REAL NOT NULL,
    instances       INTEGER NOT NULL,             -- how many it is about
    place           INTEGER NOT NULL DEFAULT 0,   -- of the first that was not decided, when last seen
    decided         REAL NOT NULL DEFAULT 0,      -- since when it can be reported; 0 before
    tries           INTEGER NOT NULL DEFAULT 0,   -- reports that did not get through
    retry_at        REAL NOT NULL DEFAULT 0,
    reason          TEXT NOT NULL DEFAULT '',     -- why the last one did not
    outcome         TEXT NOT NULL DEFAULT '',     -- REPORTED, GIVEN_UP; '' before
    ended           REAL NOT NULL DEFAULT 0,
    failed          INTEGER NOT NULL DEFAULT 0,   -- instances that were reported as not committed
    UNIQUE (peer, transaction_uid)
) STRICT;
CREATE INDEX commitments_open ON commitments (peer, decided, retry_at) WHERE outcome = '';
CREATE INDEX commitments_ended ON commitments (ended) WHERE outcome <> '';
CREATE TABLE commitment_items (
    commitment_id INTEGER NOT NULL REFERENCES commitments ON DELETE CASCADE,
    place         INTEGER NOT NULL,               -- counts from 0
    sop_class_uid TEXT NOT NULL,
    sop_uid       TEXT NOT NULL,
    PRIMARY KEY (commitment_id, place)
) STRICT, WITHOUT ROWID;

-- Performed procedure steps ---------------------------------------------------------------------------

-- What devices say of the steps that they perform (MPPS, PS3.4 F.7).
CREATE TABLE procedures (
    id         INTEGER PRIMARY KEY,
    sop_uid    TEXT NOT NULL UNIQUE,
    state      TEXT NOT NULL,                     -- IN PROGRESS, COMPLETED, DISCONTINUED
    attributes BLOB NOT NULL,                     -- DICOM JSON, deflated
    peer       TEXT NOT NULL,                     -- AE title of who made it
    created    REAL NOT NULL,
    changed    REAL NOT NULL,
    told       TEXT NOT NULL                      -- AE titles that are told of it, a JSON list
) STRICT;
CREATE INDEX procedures_by_time ON procedures (changed);
CREATE TABLE procedure_studies (
    study_uid    TEXT NOT NULL,
    procedure_id INTEGER NOT NULL REFERENCES procedures ON DELETE CASCADE,
    PRIMARY KEY (study_uid, procedure_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX studies_by_procedure ON procedure_studies (procedure_id);
-- The instances that they made, whether these are here or not.
CREATE TABLE procedure_instances (
    procedure_id INTEGER NOT NULL REFERENCES procedures ON DELETE CASCADE,
    sop_uid      TEXT NOT NULL,
    PRIMARY KEY (procedure_id, sop_uid)
) STRICT, WITHOUT ROWID;

-- Studies that come in, or did. The cursor `arrivals` says how far the changes were looked through.
CREATE TABLE arrivals (
    study_uid TEXT PRIMARY KEY,
    since     REAL NOT NULL,                      -- when the first came of what came last,
    latest    REAL NOT NULL,                      -- when the last did, or a step was changed
    fresh     INTEGER NOT NULL,                   -- instances that came since it was complete
    complete  REAL NOT NULL DEFAULT 0             -- since when it is; 0: it comes in
) STRICT, WITHOUT ROWID;
CREATE INDEX arrivals_under_way ON arrivals (latest) WHERE complete = 0;

-- What peers are told, in the order of the ids: those of one SOP instance never overtake each other.
CREATE TABLE outbox (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    peer          TEXT NOT NULL,                  -- AE title
    operation     TEXT NOT NULL,                  -- N-CREATE, N-SET
    sop_class_uid TEXT NOT NULL,
    sop_uid       TEXT NOT NULL,
    study_uid     TEXT NOT NULL DEFAULT '',       -- whose availability it says; made when it is sent
    attributes    BLOB,                           -- DICOM JSON, deflated; NULL once it is done
    queued        REAL NOT NULL,
    state         TEXT NOT NULL DEFAULT 'DUE',    -- DUE, SENT (whether it came is not known), DONE, REFUSED, DROPPED
    tries         INTEGER NOT NULL DEFAULT 0,
    retry_at      REAL NOT NULL DEFAULT 0,
    ended         REAL NOT NULL DEFAULT 0,
    reason        TEXT NOT NULL DEFAULT ''        -- the peer's own words
) STRICT;
CREATE INDEX outbox_by_instance ON outbox (peer, sop_uid, id);
CREATE INDEX outbox_waiting ON outbox (peer, id) WHERE state IN ('DUE', 'SENT');
CREATE INDEX outbox_ended ON outbox (ended) WHERE state IN ('DONE', 'REFUSED', 'DROPPED');
CREATE TABLE outbox_peers (
    peer     TEXT PRIMARY KEY,                    -- one that could not be told something
    since    REAL NOT NULL,
    tries    INTEGER NOT NULL,
    retry_at REAL NOT NULL,
    reason   TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Modality Worklist (PS3.4 K): scheduled procedure steps as each source brought them, how the sources
-- are, and what became of steps by MPPS.
CREATE TABLE worklist_sources (
    name          TEXT PRIMARY KEY,
    rank          INTEGER NOT NULL,               -- of two that bring the same step the lowest counts
    succeeded     REAL NOT NULL DEFAULT 0,        -- when it was last renewed,
    due           REAL NOT NULL DEFAULT 0,        -- and until when that is believed
    failing_since REAL NOT NULL DEFAULT 0,        -- 0: the last try succeeded
    error         TEXT NOT NULL DEFAULT '',       -- of the last try
    problems      TEXT NOT NULL DEFAULT '[]'      -- JSON: what of it could not be taken
) STRICT, WITHOUT ROWID;
CREATE TABLE worklist_steps (
    source           TEXT NOT NULL REFERENCES worklist_sources ON DELETE CASCADE,
    key              TEXT NOT NULL,               -- Study Instance UID and step ID, or else a digest
    study_uid        TEXT NOT NULL,
    step_id          TEXT NOT NULL,
    accession_number TEXT NOT NULL,
    day              TEXT NOT NULL,               -- YYYYMMDD; of a step without one, when it came
    time             TEXT NOT NULL,
    attributes       TEXT NOT NULL,               -- DICOM JSON
    PRIMARY KEY (source, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX worklist_steps_by_day ON worklist_steps (day, time);
CREATE INDEX worklist_steps_by_accession ON worklist_steps (accession_number);
CREATE TABLE worklist_states (
    study_uid TEXT NOT NULL,
    step_id   TEXT NOT NULL,                      -- empty: all of the study
    state     TEXT NOT NULL,                      -- Performed Procedure Step Status
    since     REAL NOT NULL,
    PRIMARY KEY (study_uid, step_id)
) STRICT, WITHOUT ROWID;

-- Counters ------------------------------------------------------------------------------------------

CREATE TABLE totals (
    id           INTEGER PRIMARY KEY CHECK (id = 1),
    sealed_bytes INTEGER NOT NULL
) STRICT;
INSERT INTO totals VALUES (1, 0);

-- What came and what became safe, counted by quarters of an hour: days begin where the box stands.
CREATE TABLE history (
    quarter    INTEGER PRIMARY KEY,               -- since 1970
    came       INTEGER NOT NULL DEFAULT 0,        -- instances, from devices and people
    came_bytes INTEGER NOT NULL DEFAULT 0,
    safe       INTEGER NOT NULL DEFAULT 0,        -- the archive was seen to have them
    safe_bytes INTEGER NOT NULL DEFAULT 0,
    refused    INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TRIGGER history_kept AFTER INSERT ON history BEGIN
    DELETE FROM history WHERE quarter IN
        (SELECT quarter FROM history ORDER BY quarter DESC LIMIT -1 OFFSET 38400);
END;
CREATE TRIGGER history_came AFTER INSERT ON instances
WHEN new.origin <> 'CLOUD' AND new.availability = 'ONLINE'
BEGIN
    INSERT INTO history (quarter, came, came_bytes)
        VALUES (CAST(new.received / 900 AS INTEGER), 1, new.content_bytes)
        ON CONFLICT (quarter) DO UPDATE
        SET came = came + 1, came_bytes = came_bytes + excluded.came_bytes;
END;
CREATE TRIGGER history_safe AFTER UPDATE OF custody ON instances
WHEN new.custody = 'VERIFIED' AND old.custody <> 'VERIFIED' AND new.verified > 0
    AND new.origin <> 'CLOUD' AND new.availability = 'ONLINE'
BEGIN
    INSERT INTO history (quarter, safe, safe_bytes)
        VALUES (CAST(new.verified / 900 AS INTEGER), 1, new.content_bytes)
        ON CONFLICT (quarter) DO UPDATE
        SET safe = safe + 1, safe_bytes = safe_bytes + excluded.safe_bytes;
END;
CREATE TRIGGER history_refused AFTER UPDATE OF custody ON instances
WHEN new.custody = 'REFUSED' AND old.custody <> 'REFUSED'
BEGIN
    INSERT INTO history (quarter, refused) VALUES (unixepoch() / 900, 1)
        ON CONFLICT (quarter) DO UPDATE SET refused = refused + 1;
END;

CREATE TRIGGER series_added AFTER INSERT ON series BEGIN
    UPDATE studies SET
        series_count = series_count + 1,
        modalities = CASE
            WHEN new.modality = '' OR instr(modalities, '\' || new.modality || '\') THEN modalities
            WHEN modalities = '' THEN '\' || new.modality || '\'
            ELSE modalities || new.modality || '\' END
    WHERE id = new.study_id;
END;
CREATE TRIGGER series_removed AFTER DELETE ON series BEGIN
    UPDATE studies SET
        series_count = series_count - 1,
        modalities = coalesce((SELECT '\' || group_concat(modality, '\') || '\' FROM
            (SELECT DISTINCT modality FROM series WHERE study_id = old.study_id AND modality <> ''
            AND id NOT IN (SELECT series_id FROM hidden_series))), '')
    WHERE id = old.study_id;
END;
CREATE TRIGGER series_hidden AFTER INSERT ON hidden_series BEGIN
    UPDATE studies SET
        series_count = series_count - 1,
        modalities = coalesce((SELECT '\' || group_concat(modality, '\') || '\' FROM
            (SELECT DISTINCT modality FROM series WHERE study_id = new.study_id AND modality <> ''
            AND id NOT IN (SELECT series_id FROM hidden_series))), '')
    WHERE id = new.study_id;
END;
-- Also when the series goes, which is counted out by its own trigger.
CREATE TRIGGER series_shown AFTER DELETE ON hidden_series BEGIN
    UPDATE studies SET
        series_count = series_count + 1,
        modalities = coalesce((SELECT '\' || group_concat(modality, '\') || '\' FROM
            (SELECT DISTINCT modality FROM series WHERE study_id = old.study_id AND modality <> ''
            AND id NOT IN (SELECT series_id FROM hidden_series))), '')
    WHERE id = old.study_id;
END;

CREATE TRIGGER instance_added AFTER INSERT ON instances BEGIN
    UPDATE studies SET
        instance_count = instance_count + (new.withheld = ''),
        online_count = online_count + (new.withheld = '' AND new.availability = 'ONLINE'),
        edge_only_count = edge_only_count + (new.custody IN ('EDGE_ONLY', 'SENT', 'REFUSED', 'CONFLICT'))
    WHERE id = new.study_id;
    UPDATE series SET
        instance_count = instance_count + (new.withheld = ''),
        online_count = online_count + (new.withheld = '' AND new.availability = 'ONLINE'),
        sop_classes = CASE
            WHEN new.withheld <> '' OR new.sop_class_uid = ''
                OR instr(sop_classes, '\' || new.sop_class_uid || '\')
            THEN sop_classes
            WHEN sop_classes = '' THEN '\' || new.sop_class_uid || '\'
            ELSE sop_classes || new.sop_class_uid || '\' END
    WHERE id = new.series_id;
    UPDATE totals SET sealed_bytes = sealed_bytes + new.sealed_bytes;
    INSERT INTO hidden_series SELECT id, study_id FROM series
        WHERE id = new.series_id AND new.withheld <> '' AND instance_count = 0
        AND EXISTS (SELECT 1 FROM instances WHERE series_id = series.id)
        AND id NOT IN (SELECT series_id FROM hidden_series);
    INSERT INTO hidden_studies SELECT id FROM studies
        WHERE id = new.study_id AND new.withheld <> '' AND instance_count = 0
        AND EXISTS (SELECT 1 FROM instances WHERE study_id = studies.id)
        AND id NOT IN (SELECT study_id FROM hidden_studies);
    DELETE FROM hidden_series WHERE series_id = new.series_id AND new.withheld = '';
    DELETE FROM hidden_studies WHERE study_id = new.study_id AND new.withheld = '';
END;
-- What is made here is owed to every archive that keeps copies; what an archive gave is not.
CREATE TRIGGER instance_to_be_copied AFTER INSERT ON instances WHEN new.origin <> 'CLOUD' BEGIN
    INSERT INTO copies (archive, instance_id) SELECT name, new.id FROM archives WHERE role = 'copy';
END;
CREATE TRIGGER instance_removed AFTER DELETE ON instances BEGIN
    UPDATE studies SET
        instance_count = instance_count - (old.withheld = ''),
        online_count = online_count - (old.withheld = '' AND old.availability = 'ONLINE'),
        edge_only_count = edge_only_count - (old.custody IN ('EDGE_ONLY', 'SENT', 'REFUSED', 'CONFLICT'))
    WHERE id = old.study_id;
    UPDATE series SET
        instance_count = instance_count - (old.withheld = ''),
        online_count = online_count - (old.withheld = '' AND old.availability = 'ONLINE'),
        -- Counted anew only where the last of one class may have gone.
        sop_classes = CASE
            WHEN sop_classes <> '\' || old.sop_class_uid || '\' OR instance_count = 1
            THEN coalesce((SELECT '\' || group_concat(sop_class_uid, '\') || '\' FROM
                (SELECT DISTINCT sop_class_uid FROM instances
                WHERE series_id = old.series_id AND sop_class_uid <> '' AND withheld = '')), '')
            ELSE sop_classes END
    WHERE id = old.series_id;
    UPDATE totals SET sealed_bytes = sealed_bytes - old.sealed_bytes;
    INSERT INTO hidden_series SELECT id, study_id FROM series
        WHERE id = old.series_id AND old.withheld = '' AND instance_count = 0
        AND EXISTS (SELECT 1 FROM instances WHERE series_id = series.id)
        AND id NOT IN (SELECT series_id FROM hidden_series);
    INSERT INTO hidden_studies SELECT id FROM studies
        WHERE id = old.study_id AND old.withheld = '' AND instance_count = 0
        AND EXISTS (SELECT 1 FROM instances WHERE study_id = studies.id)
        AND id NOT IN (SELECT study_id FROM hidden_studies);
END;
CREATE TRIGGER instance_changed AFTER UPDATE OF availability, custody, sealed_bytes, withheld ON instances
WHEN old.availability <> new.availability OR old.custody <> new.custody
    OR old.sealed_bytes <> new.sealed_bytes OR old.withheld <> new.withheld
BEGIN
    UPDATE studies SET
        instance_count = instance_count + (new.withheld = '') - (old.withheld = ''),
        online_count = online_count + (new.withheld = '' AND new.availability = 'ONLINE')
            - (old.withheld = '' AND old.availability = 'ONLINE'),
        edge_only_count = edge_only_count
            + (new.custody IN ('EDGE_ONLY', 'SENT', 'REFUSED', 'CONFLICT'))
            - (old.custody IN ('EDGE_ONLY', 'SENT', 'REFUSED', 'CONFLICT'))
    WHERE id = new.study_id;
    UPDATE series SET
        instance_count = instance_count + (new.withheld = '') - (old.withheld = ''),
        online_count = online_count + (new.withheld = '' AND new.availability = 'ONLINE')
            - (old.withheld = '' AND old.availability = 'ONLINE')
    WHERE id = new.series_id;
    UPDATE totals SET sealed_bytes = sealed_bytes + new.sealed_bytes - old.sealed_bytes;
    -- What follows is only for what is hidden now, or shown again.
    UPDATE series SET
        sop_classes = CASE
            WHEN new.withheld = '' AND instr(sop_classes, '\' || new.sop_class_uid || '\')
            THEN sop_classes
            WHEN new.withheld <> '' AND instance_count > 0
                AND sop_classes = '\' || new.sop_class_uid || '\'
            THEN sop_classes
            ELSE coalesce((SELECT '\' || group_concat(sop_class_uid, '\') || '\' FROM
                (SELECT DISTINCT sop_class_uid FROM instances
                WHERE series_id = new.series_id AND sop_class_uid <> '' AND withheld = '')), '') END
    WHERE id = new.series_id AND (old.withheld = '') <> (new.withheld = '');
    INSERT INTO hidden_series SELECT id, study_id FROM series
        WHERE id = new.series_id AND old.withheld = '' AND new.withheld <> '' AND instance_count = 0
        AND EXISTS (SELECT 1 FROM instances WHERE series_id = series.id)
        AND id NOT IN (SELECT series_id FROM hidden_series);
    INSERT INTO hidden_studies SELECT id FROM studies
        WHERE id = new.study_id AND old.withheld = '' AND new.withheld <> '' AND instance_count = 0
        AND EXISTS (SELECT 1 FROM instances WHERE study_id = studies.id)
        AND id NOT IN (SELECT study_id FROM hidden_studies);
    DELETE FROM hidden_series WHERE series_id = new.series_id AND old.withheld <> '' AND new.withheld = '';
    DELETE FROM hidden_studies WHERE study_id = new.study_id AND old.withheld <> '' AND new.withheld = '';
    INSERT INTO changes (action, study_uid, series_uid, sop_uid, at)
        SELECT CASE new.withheld WHEN '' THEN 'CREATE' ELSE 'DELETE' END,
            s.study_uid, e.series_uid, new.sop_uid, unixepoch('subsec')
        FROM series e JOIN studies s ON s.id = e.study_id
        WHERE e.id = new.series_id AND (old.withheld = '') <> (new.withheld = '');
    DELETE FROM trash
        WHERE instance_id = new.id AND old.withheld = 'TRASH' AND new.withheld <> 'TRASH';
END;
-- Whatever is not VERIFIED is no one's to throw away: it comes back.
CREATE TRIGGER trash_doubted AFTER UPDATE OF custody ON instances
WHEN new.withheld = 'TRASH' AND new.custody <> 'VERIFIED'
BEGIN
    UPDATE instances SET withheld = CASE
            WHEN EXISTS (SELECT 1 FROM rejections WHERE sop_uid = new.sop_uid) THEN 'REJECTED'
            ELSE '' END
        WHERE id = new.id;
END;
CREATE TRIGGER instance_reclassed AFTER UPDATE OF sop_class_uid ON instances
WHEN old.sop_class_uid <> new.sop_class_uid
BEGIN
    UPDATE series SET sop_classes = coalesce((SELECT '\' || group_concat(sop_class_uid, '\') || '\' FROM
        (SELECT DISTINCT sop_class_uid FROM instances
        WHERE series_id = new.series_id AND sop_class_uid <> '' AND withheld = '')), '')
    WHERE id = new.series_id;
END;
CREATE TRIGGER quarantine_added AFTER INSERT ON quarantine BEGIN
    UPDATE totals SET sealed_bytes = sealed_bytes + new.sealed_bytes;
END;
CREATE TRIGGER quarantine_removed AFTER DELETE ON quarantine BEGIN
    UPDATE totals SET sealed_bytes = sealed_bytes - old.sealed_bytes;
END;
CREATE TRIGGER dispute_began AFTER UPDATE OF custody ON instances
WHEN new.custody IN ('REFUSED', 'CONFLICT') AND old.custody <> new.custody
BEGIN
    INSERT INTO disputes (instance_id, since, refusals)
        VALUES (new.id, unixepoch('subsec'), new.custody = 'REFUSED')
        ON CONFLICT (instance_id) DO UPDATE SET refusals = refusals + excluded.refusals;
    -- What a person gave up stays so, whatever was under way then.
    UPDATE instances SET retry_at = 0 WHERE id = new.id AND new.custody = 'REFUSED'
        AND EXISTS (SELECT 1 FROM disputes WHERE instance_id = new.id AND given_up > 0);
END;
CREATE TRIGGER dispute_ended AFTER UPDATE OF custody ON instances
WHEN new.custody IN ('ACKNOWLEDGED', 'VERIFIED') AND old.custody <> new.custody
BEGIN
    DELETE FROM disputes WHERE instance_id = new.id;
END;
CREATE TRIGGER courier_overtaken AFTER UPDATE OF custody ON instances
WHEN new.custody IN ('ACKNOWLEDGED', 'VERIFIED', 'CONFLICT') AND old.custody <> new.custody
BEGIN
    UPDATE courier SET outcome = 'OVERTAKEN' WHERE instance_id = new.id;
END;
CREATE TRIGGER links_of_no_study AFTER DELETE ON studies BEGIN
    DELETE FROM links WHERE study_uid = old.study_uid;
END;
CREATE TRIGGER links_of_user AFTER UPDATE OF state, role, scope ON users
WHEN old.state <> new.state OR old.role <> new.role OR old.scope <> new.scope BEGIN
    DELETE FROM links WHERE maker = new.name;
END;
CREATE TRIGGER links_of_no_user AFTER DELETE ON users BEGIN
    DELETE FROM links WHERE maker = old.name;
END;
CREATE TRIGGER links_of_identity AFTER UPDATE OF state, role, scope, vouched ON identities
WHEN old.state <> new.state OR old.role <> new.role OR old.scope <> new.scope
    OR (old.vouched > 0 AND new.vouched = 0) -- the issuer vouches for them no longer
BEGIN
    DELETE FROM links WHERE maker = new.name;
END;
CREATE TRIGGER links_of_no_identity AFTER DELETE ON identities BEGIN
    DELETE FROM links WHERE maker = old.name;
END;

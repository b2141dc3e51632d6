//! What the store promises about SQLite; what each word of a transition means is held by the parity
//! and conformance suites in Python.
#![expect(
    clippy::unwrap_used,
    reason = "an error that nobody expects fails its test"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use durable_core::transition::model::{
    ClaimRequest, Create, Held, NewItem, Removal, Settlement, Transition,
};

use crate::connection::Connection;
use crate::sql::Sql;
use crate::{Error, Library, OwnedValue, Store};

const SCHEMA: &str =
    include_str!("../../../python/durable_primitives/backends/sqlite/migrations/0001_initial.sql");
const BUSY: i32 = 5;
const CONSTRAINT_PRIMARY_KEY: i32 = 1555;
const NOT_A_DATABASE: i32 = 26;
const CANNOT_OPEN: i32 = 14;

/// A database of its own, deleted at the end.
struct Database {
    library: Library,
    path: PathBuf,
}

impl Database {
    fn connect(&self) -> Connection {
        Connection::open(self.library, &self.path, 0).unwrap()
    }

    fn store(&self) -> Store {
        Store::open(self.library, &self.path, 0, 1).unwrap()
    }

    fn count(&self, table: &str) -> OwnedValue {
        let query = format!("SELECT count(*) FROM {table}");
        self.connect().run_once(&query).unwrap()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        for end in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(format!("{}{end}", self.path.display()));
        }
    }
}

/// The system's SQLite.  Without one there is nothing to test: said aloud, and a failure in CI.
#[expect(
    clippy::disallowed_methods,
    reason = "whether this is CI is not an argument of a test"
)]
fn library() -> Option<Library> {
    let names = ["libsqlite3.so.0", "libsqlite3.so", "libsqlite3.dylib"];
    let found = names.into_iter().find_map(Library::loaded_now);
    if found.is_none() {
        let in_ci = std::env::var("CI").is_ok_and(|ci| ci == "true" || ci == "1");
        assert!(!in_ci, "there is no libsqlite3 to test with");
        eprintln!("SKIPPED: there is no libsqlite3 to test with");
    }
    found
}

/// A database with our tables, or None where there is no SQLite.
fn database() -> Option<Database> {
    static SERIAL: AtomicU32 = AtomicU32::new(0);
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let name = format!("durable-sqlite-{}-{serial}.db", std::process::id());
    let database = Database {
        library: library()?,
        path: std::env::temp_dir().join(name),
    };
    fs::write(&database.path, b"").unwrap();
    let connection = database.connect();
    connection.run_once("PRAGMA journal_mode = WAL").unwrap();
    for statement in SCHEMA.split(";\n").filter(|text| !text.trim().is_empty()) {
        connection.run_once(statement).unwrap();
    }
    Some(database)
}

fn append(ids: &[&str]) -> Transition {
    let item = |id: &&str| NewItem {
        id: Some((*id).into()),
        payload: (*b"payload").into(),
        lane: None,
        due: 0,
        rank: 0,
        fresh: false,
        blocks: true,
    };
    Transition {
        instance: "queue:q:0".into(),
        at: 1,
        create: Some(Create {
            status: "open".into(),
            data: Arc::default(),
            segment: 0,
            linger_ms: None,
        }),
        append: ids.iter().map(item).collect(),
        ..Transition::default()
    }
}

fn request() -> ClaimRequest {
    ClaimRequest {
        owner: "worker".into(),
        at: 10,
        lease_ms: 100,
        limit: 10,
        take: 1000,
    }
}

fn code(error: &Error) -> i32 {
    match error {
        Error::Sqlite { code, .. } => *code,
        other => panic!("SQLite said nothing, but: {other}"),
    }
}

#[test]
fn every_kind_of_value_comes_back_as_it_went() {
    let Some(database) = database() else { return };
    let connection = database.connect();
    for (id, lane, payload) in [
        ("plain", None, &b"bytes"[..]),
        ("", Some(""), &b""[..]),
        ("a zero \0 inside, ø, 🦀", Some("lane"), &[0, 255, 0][..]),
    ] {
        let row = [
            1.into(),
            1.into(),
            id.into(),
            lane.into(),
            i64::MIN.into(),
            i64::MAX.into(),
            0.into(),
            1.into(),
            "error".into(),
            1.into(),
            2.into(),
            payload.into(),
        ];
        // nk, ik, id, payload, lane, rank, at, failed_at, attempts, error, count, expires_at
        let order = [0, 1, 2, 11, 3, 4, 5, 6, 7, 8, 9, 10];
        connection
            .change(Sql::PutLetter, &order.map(|place| row[place]))
            .unwrap();
        let key = [1.into(), id.into()];
        let found = connection.find(Sql::FindLetter, &key, crate::rows::letter_of);
        let letter = found.unwrap().unwrap();
        assert_eq!((&*letter.id, letter.lane.as_deref()), (id, lane));
        assert_eq!(&*letter.payload, payload);
        assert_eq!((letter.rank, letter.at), (i64::MIN, i64::MAX));
    }
}

#[test]
fn errors_carry_the_extended_code_and_the_words_of_sqlite() {
    let Some(database) = database() else { return };
    let connection = database.connect();
    let insert = "INSERT INTO durable_letter VALUES (1, 1, 'a', NULL, 0, 0, 0, 0, '', 0, 0, x'')";
    connection.run_once(insert).unwrap();
    let error = connection.run_once(insert).unwrap_err();
    assert_eq!(code(&error), CONSTRAINT_PRIMARY_KEY);
    assert!(error.to_string().contains("UNIQUE constraint failed"));

    let missing = Path::new("no such folder/app.db");
    let error = Connection::open(database.library, missing, 0).err();
    assert_eq!(error.as_ref().map(code), Some(CANNOT_OPEN));

    fs::write(&database.path, "not a database, ".repeat(100)).unwrap();
    let error = database
        .connect()
        .run_once("SELECT * FROM sqlite_schema")
        .unwrap_err();
    assert_eq!(code(&error), NOT_A_DATABASE);
}

#[test]
fn a_locked_database_refuses_a_batch_whole() {
    let Some(database) = database() else { return };
    let mut store = database.store();
    let other = database.connect();
    other.run_once("BEGIN IMMEDIATE").unwrap();
    let failure = store.commit(&[append(&["a"])], None).unwrap_err();
    assert_eq!((code(&failure.error), failure.committing), (BUSY, false));
    other.run_once("ROLLBACK").unwrap();
    assert!(store.commit(&[append(&["a"])], None).is_ok());
}

#[test]
fn statements_are_prepared_once_and_run_again() {
    let Some(database) = database() else { return };
    let connection = database.connect();
    let prepared = || connection.prepared();
    assert_eq!(prepared(), 0);
    for key in 1..100 {
        let found = connection.find(Sql::FindLaneRank, &[key.into(), "lane".into()], |row| {
            Ok(row.optional_int(0))
        });
        assert_eq!(found.unwrap(), Some(None));
    }
    assert_eq!(prepared(), 1);
}

#[test]
fn rows_of_any_number_leave_in_few_statements() {
    let Some(database) = database() else { return };
    let mut store = database.store();
    let mut expected = 0;
    for count in [1, 2, 63, 64, 65, 200] {
        let ids: Vec<String> = (0..count).map(|n| format!("{count}-{n}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let done = store.commit(&[append(&ids)], None).unwrap();
        expected += count;
        assert_eq!(done.outcomes[0].count, expected);
        assert_eq!(database.count("durable_item"), OwnedValue::Int(expected));
        assert_eq!(database.count("durable_receipt"), OwnedValue::Int(expected));
    }
}

#[test]
fn an_error_in_the_middle_leaves_nothing_of_the_batch() {
    let Some(database) = database() else { return };
    let mut store = database.store();
    store.commit(&[append(&["a"])], Some(&request())).unwrap();
    let ghost = Transition {
        remove: vec![Removal {
            item: Held {
                // It is in hand, and its row is elsewhere.
                place: (0, 7, 1),
                id: None,
            },
            settlement: Settlement::Done,
            expires_at: 9,
        }],
        ..append(&[])
    };
    let failure = store.commit(&[append(&["b"]), ghost], None).unwrap_err();
    assert_eq!(failure.error, Error::NoItem((0, 7, 1)));
    assert!(!store.in_transaction());
    // Neither in the file nor in what the store remembers of its records.
    assert_eq!(database.count("durable_item"), OwnedValue::Int(1));
    let done = store.commit(&[append(&["c"])], None).unwrap();
    assert_eq!(done.outcomes[0].accepted[0].seq, 2);
}

#[test]
fn what_another_connection_wrote_is_read_again() {
    let Some(database) = database() else { return };
    let (mut one, mut other) = (database.store(), database.store());
    one.commit(&[append(&["a"])], None).unwrap();
    other.commit(&[append(&["b"])], None).unwrap();
    let done = one.commit(&[append(&["c", "b"])], None).unwrap();
    let accepted = &done.outcomes[0].accepted;
    assert_eq!((accepted[0].seq, accepted[1].duplicate), (3, true));
}

#[test]
fn a_claim_sees_what_its_own_batch_appended() {
    let Some(database) = database() else { return };
    let mut store = database.store();
    let done = store
        .commit(&[append(&["a", "b"])], Some(&request()))
        .unwrap();
    assert!(done.nearer);
    let taken: Vec<_> = done.claims[0].items.iter().map(|item| item.seq).collect();
    assert_eq!(taken, [1, 2]);
    let removals = done.claims[0].items.iter().map(|item| Removal {
        item: item.held(),
        settlement: Settlement::Done,
        expires_at: 9,
    });
    let end = Transition {
        remove: removals.collect(),
        ..append(&[])
    };
    assert_eq!(store.commit(&[end], None).unwrap().outcomes[0].count, 0);
    assert_eq!(database.count("durable_item"), OwnedValue::Int(0));
}

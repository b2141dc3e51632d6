//! How the core's structures lie in rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use durable_core::transition::model::{DeadLetter, Held, Item, Receipt, Record, Settlement};

use crate::error::{Damage, Error};
use crate::record_cache::Stored;
use crate::statement::{Row, Value};

const NONE: &str = "[]";

/// A parameter for `json_each`.
pub(crate) fn json_array(numbers: &[i64]) -> String {
    if numbers.is_empty() {
        return NONE.into();
    }
    serde_json::to_string(numbers).unwrap_or_default()
}

fn numbers_of(json: &str) -> Result<Vec<i64>, Error> {
    if json == NONE {
        return Ok(Vec::new());
    }
    serde_json::from_str(json).map_err(|error| Error::Unreadable(error.to_string()))
}

fn dues_of(json: &str) -> Result<BTreeMap<Arc<str>, i64>, Error> {
    let dues: BTreeMap<String, i64> =
        serde_json::from_str(json).map_err(|error| Error::Unreadable(error.to_string()))?;
    Ok(dues
        .into_iter()
        .map(|(name, due)| (name.into(), due))
        .collect())
}

/// A record from its columns, which stand in the order of its fields; its key follows.
pub(crate) fn record_of(row: &Row<'_>) -> Result<Stored, Error> {
    stored_of(row).map_err(|error| error.of(&row.lossy_text(0)))
}

/// The same, and of one that is damaged its key and what is wrong: it does not hide the others.
pub(crate) fn due_of(row: &Row<'_>) -> Result<Result<Stored, (i64, Damage)>, Error> {
    match record_of(row) {
        Ok(stored) => Ok(Ok(stored)),
        Err(Error::Damaged(damage)) => Ok(Err((row.int(24), damage))),
        Err(error) => Err(error),
    }
}

fn stored_of(row: &Row<'_>) -> Result<Stored, Error> {
    let record = Record {
        instance: row.text(0)?.into(),
        status: row.text(1)?.into(),
        data: row.blob(2).into(),
        version: row.int(3),
        generation: row.int(4),
        held: row.int(5) == 1,
        dues: dues_of(row.text(6)?)?,
        linger_ms: row.optional_int(7),
        purge_at: row.optional_int(8),
        token: row.int(9),
        owner: row.optional_text(10)?.map(Arc::from),
        lease_until: row.int(11),
        deliveries: row.int(12),
        taken: numbers_of(row.text(13)?)?,
        cancels: numbers_of(row.text(14)?)?,
        sequence: row.int(15),
        count: row.int(16),
        segment: row.int(17),
        segment_count: row.int(18),
        segment_first_at: row.int(19),
        segment_last_at: row.int(20),
        finished: row.int(21),
        created_at: row.int(22),
        updated_at: row.int(23),
    };
    Ok(Stored {
        ik: row.int(24),
        record,
        alarm: row.optional_int(25),
    })
}

/// The columns of a record that are lists and maps, as JSON.
pub(crate) struct Lists {
    dues: String,
    taken: String,
    cancels: String,
}

impl Lists {
    pub(crate) fn of(record: &Record) -> Self {
        let dues: BTreeMap<&str, i64> = record
            .dues
            .iter()
            .map(|(name, due)| (&**name, *due))
            .collect();
        Self {
            dues: serde_json::to_string(&dues).unwrap_or_default(),
            taken: json_array(&record.taken),
            cancels: json_array(&record.cancels),
        }
    }
}

/// The columns of a record in the order of its fields, from status on and without `purge_at`.
pub(crate) fn record_values<'a>(record: &'a Record, lists: &'a Lists) -> [Value<'a>; 22] {
    [
        (&*record.status).into(),
        (&*record.data).into(),
        record.version.into(),
        record.generation.into(),
        i64::from(record.held).into(),
        (&*lists.dues).into(),
        record.linger_ms.into(),
        record.token.into(),
        record.owner.as_deref().into(),
        record.lease_until.into(),
        record.deliveries.into(),
        (&*lists.taken).into(),
        (&*lists.cancels).into(),
        record.sequence.into(),
        record.count.into(),
        record.segment.into(),
        record.segment_count.into(),
        record.segment_first_at.into(),
        record.segment_last_at.into(),
        record.finished.into(),
        record.created_at.into(),
        record.updated_at.into(),
    ]
}

/// An item from its columns.
pub(crate) fn item_of(row: &Row<'_>) -> Result<Item, Error> {
    Ok(Item {
        seq: row.int(0),
        id: row.optional_text(1)?.map(Arc::from),
        payload: row.blob(2).into(),
        at: row.int(3),
        lane: row.optional_text(4)?.map(Arc::from),
        due: row.int(5),
        rank: row.int(6),
        segment: row.int(7),
        attempt: row.int(8),
        delivery: row.int(9),
        error: row.optional_text(10)?.map(Arc::from),
        blocks: row.int(11) == 1,
    })
}

/// The same, as far as a change to it needs to know.
pub(crate) fn held_of(row: &Row<'_>) -> Result<Held, Error> {
    Ok(Held {
        place: (row.int(5), row.int(6), row.int(0)),
        id: row.optional_text(1)?.map(Arc::from),
    })
}

/// A receipt from its columns.
pub(crate) fn receipt_of(row: &Row<'_>) -> Result<Receipt, Error> {
    let settlement = match row.optional_text(6)? {
        None => None,
        Some(word) => Some(
            Settlement::named(word)
                .ok_or_else(|| Error::Unreadable(format!("the settlement {word:?}")))?,
        ),
    };
    Ok(Receipt {
        id: row.text(0)?.into(),
        seq: row.int(1),
        position: row.int(2),
        due: row.int(3),
        rank: row.int(4),
        segment: row.int(5),
        settlement,
        expires_at: row.optional_int(7),
    })
}

/// A dead letter from its columns.
pub(crate) fn letter_of(row: &Row<'_>) -> Result<DeadLetter, Error> {
    Ok(DeadLetter {
        id: row.text(0)?.into(),
        payload: row.blob(1).into(),
        lane: row.optional_text(2)?.map(Arc::from),
        rank: row.int(3),
        at: row.int(4),
        failed_at: row.int(5),
        attempts: row.int(6),
        error: row.text(7)?.into(),
        count: row.int(8),
        expires_at: row.int(9),
    })
}

/// The parameters of `put_letter`.
pub(crate) fn letter_values(nk: i64, ik: i64, letter: &DeadLetter) -> [Value<'_>; 12] {
    [
        nk.into(),
        ik.into(),
        (&*letter.id).into(),
        (&*letter.payload).into(),
        letter.lane.as_deref().into(),
        letter.rank.into(),
        letter.at.into(),
        letter.failed_at.into(),
        letter.attempts.into(),
        (&*letter.error).into(),
        letter.count.into(),
        letter.expires_at.into(),
    ]
}

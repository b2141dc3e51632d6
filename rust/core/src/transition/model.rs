//! What is stored, and the vocabulary of change: the fields of `durable_primitives.kernel`, whose
//! docstrings are their documentation.
#![allow(
    missing_docs,
    reason = "every field is documented once, in durable_primitives.kernel"
)]

use std::collections::BTreeMap;
use std::sync::Arc;

/// The due time of an item that only its instance's named dues bring to execution.
pub const NEVER: i64 = 1 << 60;
/// The named due that the store keeps by itself.
pub const ITEMS_DUE: &str = "items";
/// The named due that a hold does not stop.
pub const RECHECK_DUE: &str = "recheck";
/// The named due of an open segment.
pub const WINDOW_DUE: &str = "window";
/// The named due of sealed segments.
pub const FLUSH_DUE: &str = "flush";
/// The status of a tombstone.
pub const TERMINATED: &str = "terminated";
/// How long a tombstone is kept.
pub const TOMBSTONE_MS: i64 = 24 * 60 * 60 * 1000;
/// Dead letters that an instance keeps: the next sweep deletes the oldest of those beyond.
pub const MAX_LETTERS: usize = 10_000;

/// For how long a claim puts off an instance whose stored form it cannot read.
pub const DAMAGED_RECHECK_MS: i64 = 300_000;

/// One instance as it is stored.
#[derive(Clone, Debug)]
pub struct Record {
    pub instance: Arc<str>,
    pub status: Arc<str>,
    pub data: Arc<[u8]>,
    pub version: i64,
    pub generation: i64,
    pub held: bool,
    pub dues: BTreeMap<Arc<str>, i64>,
    pub linger_ms: Option<i64>,
    pub purge_at: Option<i64>,
    pub token: i64,
    pub owner: Option<Arc<str>>,
    pub lease_until: i64,
    pub deliveries: i64,
    pub taken: Vec<i64>,
    pub cancels: Vec<i64>,
    pub sequence: i64,
    pub count: i64,
    pub segment: i64,
    pub segment_count: i64,
    pub segment_first_at: i64,
    pub segment_last_at: i64,
    pub finished: i64,
    pub created_at: i64,
    pub updated_at: i64,
}

impl Record {
    /// A record that nothing has been written to.
    pub fn new(instance: Arc<str>) -> Self {
        Self {
            instance,
            status: "".into(),
            data: Arc::default(),
            version: 0,
            generation: 1,
            held: false,
            dues: BTreeMap::new(),
            linger_ms: None,
            purge_at: None,
            token: 0,
            owner: None,
            lease_until: 0,
            deliveries: 0,
            taken: Vec::new(),
            cancels: Vec::new(),
            sequence: 0,
            count: 0,
            segment: 0,
            segment_count: 0,
            segment_first_at: 0,
            segment_last_at: 0,
            finished: 0,
            created_at: 0,
            updated_at: 0,
        }
    }

    /// When a worker must look at this instance: a pure function of what is stored.
    pub fn alarm(&self) -> Option<i64> {
        if self.owner.is_some() {
            Some(self.lease_until)
        } else if self.held {
            self.dues.get(RECHECK_DUE).copied()
        } else {
            self.dues.values().min().copied()
        }
    }

    /// How long what ends now is remembered.
    pub fn remembered_ms(&self) -> i64 {
        self.linger_ms.filter(|&ms| ms != 0).unwrap_or(TOMBSTONE_MS)
    }

    /// Whether there is an instance, and not only what is left of one.
    pub fn is_live(&self) -> bool {
        &*self.status != TERMINATED
    }
}

/// The order in which items are served: due time, rank, sequence.
pub type Place = (i64, i64, i64);

/// One stored event.
#[derive(Clone, Debug)]
pub struct Item {
    pub seq: i64,
    pub id: Option<Arc<str>>,
    pub payload: Arc<[u8]>,
    pub at: i64,
    pub lane: Option<Arc<str>>,
    pub due: i64,
    pub rank: i64,
    pub segment: i64,
    pub attempt: i64,
    pub delivery: i64,
    pub error: Option<Arc<str>>,
    pub blocks: bool,
}

impl Item {
    /// Its key.
    pub fn place(&self) -> Place {
        (self.due, self.rank, self.seq)
    }

    /// What is needed to change it.
    pub fn held(&self) -> Held {
        Held {
            place: self.place(),
            id: self.id.clone(),
        }
    }
}

/// What is needed to change a stored item: where it is, and whose receipt goes with it.
#[derive(Clone, Debug)]
pub struct Held {
    pub place: Place,
    pub id: Option<Arc<str>>,
}

impl Held {
    /// Its sequence.
    pub fn seq(&self) -> i64 {
        self.place.2
    }
}

/// How an event ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    Done,
    Dead,
    Cancelled,
    Cleared,
    Expired,
}

impl Settlement {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Done,
        Self::Dead,
        Self::Cancelled,
        Self::Cleared,
        Self::Expired,
    ];

    /// The word that is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
            Self::Cleared => "cleared",
            Self::Expired => "expired",
        }
    }

    /// The settlement that a word stands for.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == word)
    }
}

/// Proof that an event id was accepted.
#[derive(Clone, Debug)]
pub struct Receipt {
    pub id: Arc<str>,
    pub seq: i64,
    pub position: i64,
    pub due: i64,
    pub rank: i64,
    pub segment: i64,
    pub settlement: Option<Settlement>,
    pub expires_at: Option<i64>,
}

/// Work that was given up on.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    pub id: Arc<str>,
    pub payload: Arc<[u8]>,
    pub lane: Option<Arc<str>>,
    pub rank: i64,
    pub at: i64,
    pub failed_at: i64,
    pub attempts: i64,
    pub error: Arc<str>,
    pub count: i64,
    pub expires_at: i64,
}

/// Counts over the items of one instance.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub ready: usize,
    pub delayed: usize,
    pub retrying: usize,
    pub dead: usize,
    pub oldest_at: Option<i64>,
}

/// What must hold for a transition to apply.
#[derive(Clone, Copy, Debug, Default)]
pub struct Guard {
    pub exists: Option<bool>,
    pub version: Option<i64>,
    pub generation: Option<i64>,
    pub token: Option<i64>,
    pub segment: Option<i64>,
    pub room: Option<i64>,
}

/// The record to make if there is none.
#[derive(Clone, Debug)]
pub struct Create {
    pub status: Arc<str>,
    pub data: Arc<[u8]>,
    pub segment: i64,
    pub linger_ms: Option<i64>,
}

/// The record's own part.
#[derive(Clone, Debug)]
pub struct Put {
    pub status: Arc<str>,
    pub data: Arc<[u8]>,
    pub held: bool,
    pub linger_ms: Option<i64>,
}

/// An event to append.
#[derive(Clone, Debug)]
pub struct NewItem {
    pub id: Option<Arc<str>>,
    pub payload: Arc<[u8]>,
    pub lane: Option<Arc<str>>,
    pub due: i64,
    pub rank: i64,
    pub fresh: bool,
    pub blocks: bool,
}

/// How appended items form segments.
#[derive(Clone, Copy, Debug)]
pub struct Batching {
    pub max_items: Option<i64>,
    pub window_ms: Option<i64>,
}

/// An item leaves for good.
#[derive(Clone, Debug)]
pub struct Removal {
    pub item: Held,
    pub settlement: Settlement,
    pub expires_at: i64,
}

/// What of an item changes: that it goes back to wait or, in `mark`, that a delivery was counted.
#[derive(Clone, Debug)]
pub struct Reschedule {
    pub item: Held,
    pub due: i64,
    pub attempt: i64,
    pub delivery: i64,
    pub error: Option<Arc<str>>,
    pub blocks: bool,
}

/// An item, or a batch, becomes a dead letter.
#[derive(Clone, Debug)]
pub struct Burial {
    pub id: Arc<str>,
    pub item: Option<Held>,
    /// Of the item.
    pub lane: Option<Arc<str>>,
    /// Of the item.
    pub at: Option<i64>,
    pub payload: Arc<[u8]>,
    pub attempts: i64,
    pub error: Arc<str>,
    pub count: i64,
    pub expires_at: i64,
}

/// All items of the segments up to one leave together.
#[derive(Clone, Copy, Debug)]
pub struct Retire {
    pub segment: i64,
    pub settlement: Settlement,
    pub expires_at: i64,
}

/// All items from a segment on that nobody has in hand leave.
#[derive(Clone, Copy, Debug)]
pub struct Clear {
    pub segment: i64,
    pub expires_at: i64,
}

/// How a named due changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Set,
    SetIfUnset,
    Earlier,
    Clear,
}

/// A change to one named due.
#[derive(Clone, Debug)]
pub struct Due {
    pub name: Arc<str>,
    pub how: How,
    pub at: i64,
}

/// Whether the lease is given back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Release {
    #[default]
    No,
    Idle,
    Yes,
}

/// One atomic change to one instance.
#[derive(Clone, Debug, Default)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "each is one word of the vocabulary"
)]
pub struct Transition {
    pub instance: Arc<str>,
    pub at: i64,
    pub guard: Guard,
    pub erase: bool,
    pub create: Option<Create>,
    pub remember: Vec<Arc<str>>,
    pub put: Option<Put>,
    pub remove: Vec<Removal>,
    pub reschedule: Vec<Reschedule>,
    pub give_back: Vec<i64>,
    pub mark: Vec<Reschedule>,
    pub bury: Vec<Burial>,
    pub redrive: Vec<Arc<str>>,
    pub discard: Vec<Arc<str>>,
    pub retire: Option<Retire>,
    pub clear: Option<Clear>,
    pub cancel: Vec<Arc<str>>,
    pub append: Vec<NewItem>,
    pub batching: Option<Batching>,
    pub drop_oldest: bool,
    pub seal: bool,
    pub dues: Vec<Due>,
    pub progress: bool,
    pub take: usize,
    pub release: Release,
}

/// What became of one appended item.
#[derive(Clone, Copy, Debug)]
pub struct Accepted {
    pub seq: i64,
    pub position: i64,
    pub segment: i64,
    pub segment_count: i64,
    pub duplicate: bool,
}

/// What a transition did.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub verdict: &'static str,
    pub created: bool,
    pub version: i64,
    pub generation: i64,
    pub count: i64,
    pub accepted: Vec<Accepted>,
    pub items: Vec<Item>,
    pub cleared: usize,
    pub cancelled: Vec<&'static str>,
    pub cancels: Vec<i64>,
    pub held: bool,
    pub released: bool,
    pub dues: Option<BTreeMap<Arc<str>, i64>>,
}

/// A worker's wish for due instances.
#[derive(Clone, Debug)]
pub struct ClaimRequest {
    pub owner: Arc<str>,
    pub at: i64,
    pub lease_ms: i64,
    pub limit: usize,
    pub take: usize,
}

/// A lease on one due instance.
#[derive(Clone, Debug)]
pub struct Claim {
    pub record: Record,
    pub items: Vec<Item>,
    pub suspects: Vec<i64>,
}

/// A held lease, by its fencing token.
#[derive(Clone, Debug)]
pub struct LeaseRef {
    pub instance: Arc<str>,
    pub token: i64,
}

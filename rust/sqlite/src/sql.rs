//! The statements, by name.
//!
//! Their texts are the files that the Python writer uses, taken in when this crate is built: a name
//! without a file does not compile, and a program never meets texts of another release.

macro_rules! file {
    ($name:literal) => {
        include_str!(concat!(
            "../../../python/durable_primitives/backends/sqlite/sql/",
            $name,
            ".sql"
        ))
    };
}

macro_rules! statements {
    ($($name:ident = $text:expr;)*) => {
        /// One statement.
        #[derive(Clone, Copy, Debug)]
        pub(crate) enum Sql {
            $($name,)*
        }

        const TEXTS: &[&str] = &[$($text,)*];
    };
}

statements! {
    Begin = "BEGIN IMMEDIATE";
    Commit = "COMMIT";
    Rollback = "ROLLBACK";
    DataVersion = "PRAGMA data_version";
    DeleteAllItems = file!("delete_all_items");
    DeleteAllLetters = file!("delete_all_letters");
    DeleteBatchedItems = file!("delete_batched_items");
    DeleteInstance = file!("delete_instance");
    DeleteItems = file!("delete_items");
    DeleteLetter = file!("delete_letter");
    DeleteLiveReceipts = file!("delete_live_receipts");
    DeleteLooseItems = file!("delete_loose_items");
    DeleteOldestLetters = file!("delete_oldest_letters");
    DeleteReceiptsOfItems = file!("delete_receipts_of_items");
    FindInstance = file!("find_instance");
    FindItem = file!("find_item");
    FindItemDue = file!("find_item_due");
    FindLaneRank = file!("find_lane_rank");
    FindLastKey = file!("find_last_key");
    FindLetter = file!("find_letter");
    FindOldestItem = file!("find_oldest_item");
    FindReceipt = file!("find_receipt");
    InsertInstance = file!("insert_instance");
    InsertItems = file!("insert_items");
    InsertOtherReceipts = file!("insert_other_receipts");
    InsertReadyItems = file!("insert_ready_items");
    InsertReceipts = file!("insert_receipts");
    ListOverfullInstances = file!("list_overfull_instances");
    ListPurgeableInstances = file!("list_purgeable_instances");
    LoadDueInstances = file!("load_due_instances");
    MoveItem = file!("move_item");
    MoveReceipt = file!("move_receipt");
    PutLetter = file!("put_letter");
    PutOffInstance = file!("put_off_instance");
    RescheduleInstance = file!("reschedule_instance");
    SettleBatchedReceipts = file!("settle_batched_receipts");
    SettleLooseReceipts = file!("settle_loose_receipts");
    SettleReceipts = file!("settle_receipts");
    SweepLetters = file!("sweep_letters");
    SweepReceipts = file!("sweep_receipts");
    TakeReadyItems = file!("take_ready_items");
    TakeWaitingItems = file!("take_waiting_items");
    UpdateInstance = file!("update_instance");
}

impl Sql {
    /// How many there are.
    pub(crate) const COUNT: usize = TEXTS.len();

    /// What SQLite is told.
    pub(crate) fn text(self) -> &'static str {
        TEXTS[self as usize]
    }

    /// An INSERT with its row of placeholders so many times.
    pub(crate) fn repeated(self, rows: usize) -> String {
        const BEFORE: &str = "\nVALUES ";
        let text = self.text();
        let Some(start) = text.find(BEFORE) else {
            return text.to_owned();
        };
        let start = start + BEFORE.len();
        let end = text[start..]
            .find('\n')
            .map_or(text.len(), |length| start + length);
        let row = &text[start..end];
        format!(
            "{}{}{}",
            &text[..start],
            vec![row; rows].join(", "),
            &text[end..]
        )
    }
}

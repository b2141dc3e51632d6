-- Items that have left: a run of sequences without a gap.
-- parameters: ik, due, rank, the first seq, the last seq
DELETE FROM durable_item WHERE ik = ? AND due = ? AND rank = ? AND seq BETWEEN ? AND ?

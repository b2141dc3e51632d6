-- Items of every other sort.
-- parameters of each row: ik, and the fields of an `Item` in their order
INSERT INTO durable_item (ik, seq, id, payload, at, lane, due, rank, segment, attempt, delivery, error, blocks)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

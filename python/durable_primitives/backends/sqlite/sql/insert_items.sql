-- Items of every other sort.
-- parameters of each row: ik, seq, id, payload, at, lane, due, rank, segment, blocks
INSERT INTO durable_item (ik, seq, id, payload, at, lane, due, rank, segment, blocks)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- Items that wait for nothing and belong to no lane and no batch: the plain events of a queue.
-- parameters of each row: ik, seq, id, payload, at
INSERT INTO durable_item (ik, due, rank, seq, id, payload, at)
VALUES (?, 0, 0, ?, ?, ?, ?)

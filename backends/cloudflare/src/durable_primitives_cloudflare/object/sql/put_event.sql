-- A new event, or the id of one; it may take the place of a receipt whose window is over.
-- parameters: ik, key, seq, position, due, rank, segment, at, lane, blocks, payload
INSERT OR REPLACE INTO durable_event (ik, key, seq, position, due, rank, segment, at, lane, attempt, delivery, blocks, payload)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, ?, ?)

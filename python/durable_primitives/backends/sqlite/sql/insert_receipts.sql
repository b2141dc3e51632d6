-- Receipts of plain events.
-- parameters of each row: id, ik, seq, position
INSERT INTO durable_receipt (id, ik, seq, position)
VALUES (?, ?, ?, ?)
ON CONFLICT (id, ik) DO UPDATE SET
  seq = excluded.seq, position = excluded.position, due = 0, rank = 0, segment = 0, settlement = NULL, expires_at = NULL,
  nk = NULL

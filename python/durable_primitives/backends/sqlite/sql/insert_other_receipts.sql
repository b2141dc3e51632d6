-- Receipts of every other sort.
-- parameters of each row: ik, id, seq, position, due, rank, segment
INSERT INTO durable_receipt (ik, id, seq, position, due, rank, segment)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id, ik) DO UPDATE SET
  seq = excluded.seq, position = excluded.position, due = excluded.due, rank = excluded.rank,
  segment = excluded.segment, settlement = NULL, expires_at = NULL, nk = NULL

-- Receipts of every other sort.
-- parameters of each row: ik, and the fields of a `Receipt` in their order
INSERT INTO durable_receipt (ik, id, seq, position, due, rank, segment, settlement, expires_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id, ik) DO UPDATE SET
  seq = excluded.seq, position = excluded.position, due = excluded.due, rank = excluded.rank,
  segment = excluded.segment, settlement = excluded.settlement, expires_at = excluded.expires_at

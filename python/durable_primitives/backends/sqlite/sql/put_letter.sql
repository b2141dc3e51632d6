-- A dead letter.
-- parameters: nk, ik, and the fields of a `DeadLetter` in their order
INSERT OR REPLACE INTO durable_letter (nk, ik, id, payload, lane, rank, at, failed_at, attempts, error, count, expires_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

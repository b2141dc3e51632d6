-- One item by its place.
-- parameters: ik, due, rank, seq
SELECT seq, id, payload, at, lane, due, rank, segment, attempt, delivery, error, blocks
FROM durable_item
WHERE ik = ? AND due = ? AND rank = ? AND seq = ?

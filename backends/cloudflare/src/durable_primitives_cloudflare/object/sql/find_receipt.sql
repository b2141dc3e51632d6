-- parameters: ik, key
SELECT key, seq, position, due, rank, segment, settlement, expires_at FROM durable_event WHERE ik = ? AND key = ?

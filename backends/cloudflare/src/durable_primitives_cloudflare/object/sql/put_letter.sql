-- parameters: ik, id, part, payload, lane, rank, at, failed_at, attempts, error, count, expires_at
INSERT OR REPLACE INTO durable_letter VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

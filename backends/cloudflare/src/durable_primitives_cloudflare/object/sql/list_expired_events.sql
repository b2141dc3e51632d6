-- parameters: ik, now, limit
SELECT key FROM durable_event WHERE ik = ? AND expires_at <= ? LIMIT ?

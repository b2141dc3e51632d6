-- A record whose alarm and whose time to go are as they were: the indexes over them need no work.
-- parameters: the other fields of a `Record` from status on, in their order; ik
UPDATE durable_instance SET
  status = ?, data = ?, version = ?, generation = ?, held = ?, dues = ?, linger_ms = ?, token = ?, owner = ?,
  lease_until = ?, deliveries = ?, taken = ?, cancels = ?, sequence = ?, count = ?, segment = ?, segment_count = ?,
  segment_first_at = ?, segment_last_at = ?, finished = ?, created_at = ?, updated_at = ?
WHERE ik = ?

-- A record with a new alarm, or a new time to go.
-- parameters: alarm, purge_at, the other fields of a `Record` from status on, in their order; ik
UPDATE durable_instance SET
  alarm = ?, purge_at = ?, status = ?, data = ?, version = ?, generation = ?, held = ?, dues = ?, linger_ms = ?,
  token = ?, owner = ?, lease_until = ?, deliveries = ?, taken = ?, cancels = ?, sequence = ?, count = ?, segment =
  ?, segment_count = ?, segment_first_at = ?, segment_last_at = ?, finished = ?, created_at = ?, updated_at = ?
WHERE ik = ?

-- Dead letters whose time is over.
-- parameters: now, namespace, limit
DELETE FROM durable_letter WHERE (ik, id) IN (
  SELECT letter.ik, letter.id
  FROM durable_letter AS letter CROSS JOIN durable_instance AS owner ON owner.ik = letter.ik
  WHERE letter.expires_at <= ? AND owner.namespace = ?
  LIMIT ?
)

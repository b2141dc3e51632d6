-- Apply a batch of transitions in order, then serve the claim: `Storage.commit`.
--
-- keys: where the last replies to this client are kept (it names the partition, and so the node)
-- arguments: a packed `CommitRequest`; the channel of wake-ups
-- replies: a packed `CommitReply`
-- complexity: O(log n) for each item that comes, is taken or leaves; O(log n) for each instance
-- uses: wire keys record receipts items take letters transition refusal change claim replay

local reply_key, buffer, channel = KEYS[1], ARGV[1], ARGV[2]

local function open_record(w, t)
  if not w.exists then
    new_record(w, t.at)
  end
  w.created_at, w.purge_at = t.at, nil
  local create = t.create
  if create then
    w.status, w.data, w.segment, w.linger_ms = create.status, create.data, create.segment, create.linger_ms
  end
end

-- Leave a tombstone (`kernel.apply._erase`).
local function erase(w)
  delete_rows(w)
  w.status, w.data, w.held, w.linger_ms, w.dues = TERMINATED, EMPTY_BYTES, false, TOMBSTONE_MS, {}
  w.owner, w.taken, w.cancels, w.count, w.segment_count, w.deliveries, w.finished = nil, {}, {}, 0, 0, 0, 0
  w.purge_at = nil
  w.version, w.generation = w.version + 1, w.generation + 1
end

-- The outcome, packed, and whether anything changed.
local function apply(t)
  local w = find_record(t.part, t.instance)
  local verdict = refusal(t, w)
  local opens, live = t.create or t.put, is_live(w)
  if not verdict and not live and not opens then
    verdict = 'conflict'
  end
  if verdict then
    return '\145' .. pack(verdict), false
  end
  touch(w)
  if live and t.erase then
    erase(w)
    live = false
  end
  local created = not live and opens ~= nil
  if created then
    open_record(w, t)
  end
  return change(w, t, created), true
end

local offset, request, partitions, client, number, places
local count
count, offset = read_array(buffer, 0)
offset, stem, client, number, request, partitions, places = unpack_limit(buffer, 6, offset)
local answered = earlier_reply(reply_key, number)
if answered then
  return answered
end

local parts = {}
local transitions = {}
count, offset = read_array(buffer, offset)
for index = 1, count do
  local place = places[index]
  parts[place] = parts[place] or partition_prefix(place)
  local t
  t, offset = read_transition(buffer, offset)
  t.part = parts[place]
  transitions[index] = t
end

local outcomes, changed = {}, false
for index, t in ipairs(transitions) do
  local did
  outcomes[index], did = apply(t)
  changed = changed or did
end
local claims = {}
if request then
  claims = serve_claim(request, partitions)
end
changed = changed or #claims > 0
local nearest = store_records()
if nearest then
  call('PUBLISH', channel, client .. ' ' .. field(nearest))
end
local reply = '\148' .. array_of(outcomes) .. array_of(claims) .. pack(nearest, server_micros())
if changed then
  keep_reply(reply_key, number, reply)
end
return reply

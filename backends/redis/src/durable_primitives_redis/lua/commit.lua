-- Apply a batch of transitions in order, then serve the claim: `Storage.commit`.
--
-- keys: where the last replies to this client are kept (it names the partition, and so the node)
-- arguments: a packed `CommitRequest`; the channel of wake-ups; whether to write although the memory is full ('' or 'full')
-- replies: a packed `CommitReply`
-- complexity: O(log n) for each item that comes, is taken or leaves; O(log n) for each instance
-- uses: wire keys record receipts items erasing? finding? room choosing? letters? take transition refusal append change rare? moving? claim waking replay

local reply_key, buffer, channel = KEYS[1], ARGV[1], ARGV[2]

local function open_record(w, t)
  w.exists, w.created_at, w.purge_at = true, t.at, nil
  local create = t.create
  if create then
    w.status, w.data, w.segment, w.linger_ms = create.status, create.data, create.third, create.linger_ms
  end
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
    erasing().erase(w)
    live = false
  end
  local created = not live and opens ~= nil
  if created then
    open_record(w, t)
  end
  return change(w, t, created), true
end

local count, offset, client, number, request, partitions, places, answered
count, offset = read_array(buffer, 0)
offset, stem, client, number, request, partitions, places, answered = unpack_limit(buffer, 7, offset)
local reply = earlier_reply(reply_key, number)
if reply then
  return reply
end

if ARGV[3] == 'full' then
  write_when_full()
end
local parts, transitions = {}, {}
count, offset = read_array(buffer, offset)
for index = 1, count do
  local place = places[index]
  parts[place] = parts[place] or partition_prefix(place)
  local t
  t, offset = read_transition(buffer, offset)
  t.part = parts[place]
  -- A damaged one ends the script here, where nothing has been written.
  find_record(t.part, t.instance)
  transitions[index] = t
end

for _, one in ipairs(answered) do
  keep_reply(one[1], one[2], '')
end
local outcomes, changed = {}, false
for index, t in ipairs(transitions) do
  local did
  outcomes[index], did = apply(t)
  changed = changed or did
end
local claims, damaged = {}, {}
if request then
  claims, damaged = serve_claim(request, partitions)
end
local nearest = store_records()
if #partitions > 1 then
  store_heads()
end
local micros = server_micros()
tell_alarm(channel, client, nearest, micros)
reply = '\149' .. array_of(outcomes) .. array_of(claims) .. pack(nearest, micros) .. array_of(damaged)
if changed or #claims > 0 then
  keep_reply(reply_key, number, reply)
end
return reply

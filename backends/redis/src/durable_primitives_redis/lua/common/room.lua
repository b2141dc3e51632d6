-- How long a reply becomes: what a claim or a take would bring beyond its room stays for the next one.  Each brings one
-- all the same, or nobody would ask again.

local REPLY_BYTES = 33554432
local FIRST_PAGE = 16

local sent, pieces = 0, 0

local function note_sent(bytes)
  sent, pieces = sent + bytes, pieces + 1
end

local function has_room()
  return sent < REPLY_BYTES
end

-- How many more of the items to take at once.  How long they are shows only then, so it is few at first.
local function next_page(left, none_yet)
  if not has_room() then
    return none_yet and 1 or 0
  elseif pieces == 0 then
    return math.min(left, FIRST_PAGE)
  end
  local fitting = math.ceil((REPLY_BYTES - sent) * pieces / math.max(sent, 1))
  return math.min(left, math.max(pieces, FIRST_PAGE), fitting)
end

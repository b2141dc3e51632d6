-- MessagePack as the kernel's structs are written: arrays in the order of their fields.
--
-- cmsgpack knows no byte strings ("bin"), so payloads are never parsed: they are cut out with their header and put in
-- again as they are.  What a script answers is put together from such parts.  Offsets count from 0, as in cmsgpack.

local pack, unpack_one, unpack_limit = cmsgpack.pack, cmsgpack.unpack_one, cmsgpack.unpack_limit
local byte, sub, format, concat, struct_pack = string.byte, string.sub, string.format, table.concat, struct.pack

local NEVER = 1152921504606846976
local EMPTY_BYTES = '\196\0'

-- The start of an array of n values.
local function array_head(n)
  if n < 16 then
    return string.char(0x90 + n)
  elseif n < 65536 then
    return struct_pack('>BI2', 0xdc, n)
  end
  return struct_pack('>BI4', 0xdd, n)
end

-- An array of values that are packed already.
local function array_of(parts)
  return array_head(#parts) .. concat(parts)
end

-- A map from names to numbers; cmsgpack would write an empty one as an array.
local function map_of(map)
  return next(map) and pack(map) or '\128'
end

-- How many values an array has, and the offset of the first.
local function read_array(buffer, offset)
  local head, a, b, c, d = byte(buffer, offset + 1, offset + 5)
  if head and head >= 0x90 and head < 0xa0 then
    return head - 0x90, offset + 1
  elseif head == 0xdc then
    return a * 256 + b, offset + 3
  elseif head == 0xdd then
    return ((a * 256 + b) * 256 + c) * 256 + d, offset + 5
  end
  error('malformed batch: no array at ' .. offset)
end

-- The offset behind a byte string.
local function skip_bytes(buffer, offset)
  local head, a, b, c, d = byte(buffer, offset + 1, offset + 5)
  if head == 0xc4 then
    return offset + 2 + a
  elseif head == 0xc5 then
    return offset + 3 + a * 256 + b
  elseif head == 0xc6 then
    return offset + 5 + ((a * 256 + b) * 256 + c) * 256 + d
  end
  error('malformed batch: no byte string at ' .. offset)
end

-- A byte string with its header, and the offset behind it.
local function read_bytes(buffer, offset)
  local stop = skip_bytes(buffer, offset)
  return sub(buffer, offset + 1, stop), stop
end

-- Digits that sort as the numbers do; 14 of them fit a small string of the server.
local function padded(number)
  return format('%014d', number)
end

-- A number as the server reads it.
local function digits(number)
  return format('%d', number)
end

-- The server's clock; it decides nothing here, and tells the client how late it is.
local function server_micros()
  local now = redis.call('TIME')
  return now[1] * 1000000 + now[2]
end

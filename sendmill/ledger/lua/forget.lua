#!lua flags=allow-oom
-- include rows.lua
-- Take a person out of a slice: the rows stay, with their states and counters; what is queued is cancelled first.
-- KEYS[1] the account's state hash
-- ARGV[1] slice, ARGV[2] sha1 of the body that the caller read, ARGV[3] the body without the person (both as they lie there),
-- ARGV[4] where the numbers begin in the slice with that body, ARGV[5] msgpack [row offset, …]
-- Returns {rows, how many of them were cancelled}, or nothing where the slice is gone or has changed since it was read.

local now = clock_ms()
local s = slice_of(ARGV[1])
if not s then return {} end
local body_at = s.page and FOLDED_BYTES or HEADER_BYTES + ARRAYS_BYTES * s.n
local whole = read_slice(s.id, -1)
if redis.sha1hex(string.sub(whole, body_at + 1)) ~= ARGV[2] then return {} end

local offsets = cmsgpack.unpack(ARGV[5])
local cancelled = 0
for _, offset in ipairs(offsets) do
  if states_of(s, offset, offset) == 'q' then
    move(s, offset, offset, 'q', 'c', now)
    cancelled = cancelled + 1
  end
  -- A vendor's words may quote the number; its code and its id tell nothing by themselves.
  local detail = redis.call('HGET', key('d:' .. s.id), offset)
  if detail then
    detail = cmsgpack.unpack(detail)
    detail.detail = nil
    if next(detail) then
      redis.call('HSET', key('d:' .. s.id), offset, cmsgpack.pack(detail))
    else
      redis.call('HDEL', key('d:' .. s.id), offset)
    end
  end
end
-- From now on a row of it that would be queued again is looked at: see `move`.
s.raw = string.sub(whole, 1, body_at) .. ARGV[3]
s.raw = with_field(s, 'numbers_at', tonumber(ARGV[4]))
write_slice(s.id, s.raw)
flush()
if count_of(s, 'q') == 0 then
  redis.call('ZREM', key('out:' .. s.lane), s.id)
  redis.call('ZREM', key('wait'), s.id)
end
return { #offsets, cancelled }

-- Calls that have ended, and vendors' ids of calls. Included, after rows.lua, by every script that reads or writes them.
--
-- past:<n // 64> hash: n % 64 → a call's record, "s" → names of slices, with spaces between them. A record:
--   1 byte   state that it left its rows in
--   6 bytes  ms since the epoch when it began
--   1 byte   length of the vendor's id, then the id (packed, or as it is: sendmill/ledger/refs.py)
--   msgpack  [rows, answer, code, unreported] without the empty ones at its end. rows: [slice, first, last, …] for each
--            slice: its place among the names of the hash, from 0 on, or its name
-- ref:<span>:<n> hash: vendor's id → call; refs hash: span → ids

local NAMES_BYTES = 300 -- below the `hash-max-listpack-value` that docs/operating.md advises
local names = {} -- of each hash of the past that was looked at: places by name, names by place, bytes, new

local function past_key(no) return key('past:' .. math.floor(no / 64)) end

local function names_in(hash)
  local known = names[hash]
  if known then return known end
  known = { at = {}, bytes = 0, new = false }
  for name in string.gmatch(redis.call('HGET', hash, 's') or '', '%S+') do
    known[#known + 1] = name
    known.at[name] = #known - 1
    known.bytes = known.bytes + #name + 1
  end
  names[hash] = known
  return known
end

-- What a record calls a slice: that of more rows than one by its place, for other calls have its rows too.
local function place_of(hash, id)
  local known = names_in(hash)
  local place = known.at[id]
  if place then return place end
  local s = slice_of(id)
  if not s or s.n == 1 or known.bytes + #id > NAMES_BYTES then return id end
  known[#known + 1] = id
  known.at[id] = #known - 1
  known.bytes = known.bytes + #id + 1
  known.new = true
  return #known - 1
end

-- A record of {state, began (ms), vmid, rows, answer, code, unreported}. After the last one: write_names().
local function pack_past(no, past)
  local hash, rows, ids = past_key(no), past.rows, {}
  for n, run in ipairs(rows) do
    ids[n] = run[1]
    run[1] = place_of(hash, run[1])
  end
  local rest = { rows }
  if past.unreported then
    rest = { rows, past.answer, past.code, true }
  elseif past.code ~= '' then
    rest = { rows, past.answer, past.code }
  elseif past.answer ~= '' then
    rest = { rows, past.answer }
  end
  local packed = cmsgpack.pack(rest)
  for n, run in ipairs(rows) do run[1] = ids[n] end
  return struct.pack('<c1I6Bc0', past.state, math.floor(past.began), #past.vmid, past.vmid) .. packed
end

local function write_names()
  for hash, known in pairs(names) do
    if known.new then
      redis.call('HSET', hash, 's', table.concat(known, ' '))
      known.new = false
    end
  end
end

-- What is kept of a call that has ended, nil where that is nothing.
local function past_of(no)
  local raw = redis.call('HGET', past_key(no), no % 64)
  if not raw then return nil end
  local state, began, vmid, at = struct.unpack('<c1I6Bc0', raw)
  local rest = cmsgpack.unpack(string.sub(raw, at))
  for _, run in ipairs(rest[1]) do
    if type(run[1]) == 'number' then run[1] = names_in(past_key(no))[run[1] + 1] end
  end
  return {
    state = state, began = began, vmid = vmid, rows = rest[1], answer = rest[2] or '', code = rest[3] or '',
    unreported = rest[4] or false,
  }
end

local function write_past(no, past)
  local packed = pack_past(no, past)
  write_names()
  redis.call('HSET', past_key(no), no % 64, packed)
end

local function drop_past(no)
  local hash = past_key(no)
  redis.call('HDEL', hash, no % 64)
  -- Names that no record is left of.
  if redis.call('HLEN', hash) == 1 and redis.call('HEXISTS', hash, 's') == 1 then redis.call('DEL', hash) end
  names[hash] = nil
end

local ATTEMPTS_KEPT = 500

-- Keep a call's number for as long as a slice is there, where neither its rows nor its attempts name it any more: what
-- is kept of the call goes with the slice.
local function keep_number(id, no) redis.call('SADD', key('o:' .. id), no) end

-- An attempt on rows of a slice that was not simply accepted: msgpack Attempt. The oldest are cut off.
local function note_attempt(id, packed)
  local history = key('h:' .. id)
  for _ = ATTEMPTS_KEPT + 1, redis.call('RPUSH', history, packed) do
    keep_number(id, cmsgpack.unpack(redis.call('LPOP', history))[2])
  end
end

local ids_more = {} -- by span

local function note_ref(name, id, no)
  local span = string.match(name, '^ref:(%d+)')
  ids_more[span] = (ids_more[span] or 0) + redis.call('HSET', key(name), id, no)
end

-- An id that is another call's by now stays.
local function drop_ref(name, id, no)
  if tonumber(redis.call('HGET', key(name), id) or '') ~= tonumber(no) then return end
  local span = string.match(name, '^ref:(%d+)')
  ids_more[span] = (ids_more[span] or 0) - redis.call('HDEL', key(name), id)
end

local function count_refs()
  for span, more in pairs(ids_more) do
    if more ~= 0 and redis.call('HINCRBY', key('refs'), span, more) <= 0 then redis.call('HDEL', key('refs'), span) end
  end
  ids_more = {}
end

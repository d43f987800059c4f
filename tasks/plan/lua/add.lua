#!lua flags=allow-oom
-- include rows.lua
-- include enqueue.lua
-- Take slices into the account. Running it twice adds nothing: a slice that is there stays as it is.
-- KEYS[1] the account's state hash
-- ARGV[1] ms until which the slices wait (0: not at all; -1: until claimable.lua lets them be claimed),
-- then for each slice: id, blob, msgpack [[code, detail, [row offset of one state, …]], …] ("" for none), ms of its horizon
-- Returns the number of slices that were new.

local SHARED_FROM = 100 -- what is told of so many rows quotes none of them, and is written once for their state

-- Write what there is to tell about rows; returns it by row offset.
local function write_details(s, packed)
  local name, word_of, shared = key('d:' .. s.id), {}, {}
  for _, group in ipairs(cmsgpack.unpack(packed)) do
    local word = { code = group[1], detail = group[2] }
    local told, offsets = cmsgpack.pack(word), group[3]
    local state = states_of(s, offsets[1], offsets[1])
    local once = #offsets >= SHARED_FROM and not shared[state]
    local fields = {}
    if once then
      shared[state] = true
      fields = { '@' .. state, told }
    end
    for _, offset in ipairs(offsets) do
      word_of[offset] = word
      if not once then
        fields[#fields + 1] = offset
        fields[#fields + 1] = told
        if #fields == AT_ONCE then
          redis.call('HSET', name, unpack(fields))
          fields = {}
        end
      end
    end
    if #fields > 0 then redis.call('HSET', name, unpack(fields)) end
  end
  return word_of
end

-- Rows that were refused or suppressed before they came here: their consumers hear it now, of equal rows at once.
local function tell(s, word_of, now)
  local states, run, word_of_run = states_of(s, 0, s.n - 1), nil, nil
  for offset = 0, s.n - 1 do
    local state = string.sub(states, offset + 1, offset + 1)
    local word = word_of[offset]
    if not FINAL[state] then
      run = nil
    elseif run and run[4] == state and word_of_run == word then
      run[2] = offset
    else
      run = { offset, offset, 'a', state, word and word.code or '', word and word.detail or '', '', 0, math.floor(now) }
      word_of_run = word
      s.told[#s.told + 1] = run
    end
  end
end

local WITHHELD = -1
local now, due_ms = clock_ms(), tonumber(ARGV[1])
local new, names, waiting, horizons = {}, {}, {}, {} -- slices; {name of a set, score, id, …}; ms by what stands in `horizon`
for i = 2, #ARGV, 4 do names[#names + 1] = key(page_of(ARGV[i]) or 's:' .. ARGV[i]) end
local some_are_there = #names > 0 and redis.call('EXISTS', unpack(names)) > 0

local function put_into(name, score, id)
  local pairs_of = waiting[name] or {}
  waiting[name] = pairs_of
  pairs_of[#pairs_of + 1] = score
  pairs_of[#pairs_of + 1] = id
end

for i = 2, #ARGV, 4 do
  local id, blob = ARGV[i], ARGV[i + 1]
  if not some_are_there or not is_there(id) then
    local s = slice_of(id, blob)
    s.place = i
    new[#new + 1] = s
  end
end
read_starts(new)
for _, s in ipairs(new) do
  local id, details, queued = s.id, ARGV[s.place + 2], count_of(s, 'q')
  local ends_here = queued > 0 and is_cancelled(s.job)
  local joins = queued > 0 and not ends_here and due_ms ~= WITHHELD
  if joins then s.raw = with_field(s, 'start', next_start(s, queued)) end
  if s.page then write_later(s) else redis.call('SET', s.key, s.raw) end
  note_arrived(s)
  local word_of = details ~= '' and write_details(s, details) or {}
  if queued < s.n and s.events ~= '0' then tell(s, word_of, now) end
  if ends_here then move_where(s, 0, s.n - 1, 'c', now, function(state) return state == 'q' end) end
  if joins and due_ms > now then
    put_into('wait', due_ms, id)
  elseif joins then
    put_into('out:' .. s.lane, s.start, id)
  end
  local name = page_of(id) or id
  horizons[name] = math.max(horizons[name] or 0, tonumber(ARGV[s.place + 3]))
end
for name, pairs_of in pairs(waiting) do redis.call('ZADD', key(name), unpack(pairs_of)) end
note_horizons(horizons)
write_starts()
flush()
return #new

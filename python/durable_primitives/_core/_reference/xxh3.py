"""XXH3-64 with its default secret and seed 0.

The algorithm is Yann Collet's, as described in "XXH3 Algorithm Overview" of the xxHash specification: one recipe for
each range of lengths. All arithmetic is on unsigned 64-bit words, little-endian.
"""

from __future__ import annotations

from struct import Struct

_MASK = 2**64 - 1

_PRIME32_1, _PRIME32_2, _PRIME32_3 = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D
_PRIME64_1, _PRIME64_2, _PRIME64_3 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
_PRIME64_4, _PRIME64_5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
_PRIME_MX1, _PRIME_MX2 = 0x165667919E3779F9, 0x9FB21C651E98DF25

_SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221"
    "b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb"
    "170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
)

_STRIPE = Struct("<8Q")
_STRIPES_PER_BLOCK = 16
_BLOCK_SIZE = _STRIPE.size * _STRIPES_PER_BLOCK
_SCRAMBLE_KEY = _STRIPE.unpack_from(_SECRET, 128)
_LAST_STRIPE_KEY = _STRIPE.unpack_from(_SECRET, 121)
_STRIPE_KEYS = [_STRIPE.unpack_from(_SECRET, 8 * stripe) for stripe in range(_STRIPES_PER_BLOCK)]
_LANES_START = (
    _PRIME32_3,
    _PRIME64_1,
    _PRIME64_2,
    _PRIME64_3,
    _PRIME64_4,
    _PRIME32_2,
    _PRIME64_5,
    _PRIME32_1,
)


def xxh3_64(data: bytes) -> int:
    """Return the XXH3-64 hash of `data` with seed 0, from 0 to 2^64 - 1: the same in every language and release."""
    length = len(data)
    if length > 240:
        return _hash_long(data)
    if length > 128:
        return _hash_129_to_240(data)
    if length > 16:
        return _hash_17_to_128(data)
    if length > 8:
        return _hash_9_to_16(data)
    if length > 3:
        return _hash_4_to_8(data)
    if length > 0:
        return _hash_1_to_3(data)
    return _xxh64_avalanche(_word(_SECRET, 56) ^ _word(_SECRET, 64))


def _hash_1_to_3(data: bytes) -> int:
    length = len(data)
    combined = data[0] << 16 | data[length >> 1] << 24 | data[-1] | length << 8
    return _xxh64_avalanche(combined ^ _half_word(_SECRET, 0) ^ _half_word(_SECRET, 4))


def _hash_4_to_8(data: bytes) -> int:
    length = len(data)
    mixed = _half_word(data, length - 4) + (_half_word(data, 0) << 32)
    mixed ^= _word(_SECRET, 8) ^ _word(_SECRET, 16)
    mixed ^= _rotated_left(mixed, 49) ^ _rotated_left(mixed, 24)
    mixed = mixed * _PRIME_MX2 & _MASK
    mixed ^= (mixed >> 35) + length
    mixed = mixed * _PRIME_MX2 & _MASK
    return mixed ^ mixed >> 28


def _hash_9_to_16(data: bytes) -> int:
    length = len(data)
    low = _word(data, 0) ^ _word(_SECRET, 24) ^ _word(_SECRET, 32)
    high = _word(data, length - 8) ^ _word(_SECRET, 40) ^ _word(_SECRET, 48)
    swapped = int.from_bytes(low.to_bytes(8, "little"), "big")
    return _avalanche(length + swapped + high + _folded_product(low, high))


def _hash_17_to_128(data: bytes) -> int:
    """Mix 16 bytes at a time, from both ends towards the middle."""
    length = len(data)
    total = length * _PRIME64_1
    for pair in range((length - 1) // 32 + 1):
        total += _mixed_16(data, 16 * pair, 32 * pair)
        total += _mixed_16(data, length - 16 * (pair + 1), 32 * pair + 16)
    return _avalanche(total)


def _hash_129_to_240(data: bytes) -> int:
    length = len(data)
    total = length * _PRIME64_1
    for start in range(0, 128, 16):
        total += _mixed_16(data, start, start)
    total = _avalanche(total)
    for start in range(128, length // 16 * 16, 16):
        total += _mixed_16(data, start, start - 128 + 3)
    return _avalanche(total + _mixed_16(data, length - 16, 119))


def _hash_long(data: bytes) -> int:
    """Run stripes of 64 bytes through eight lanes, which are scrambled after each block."""
    length = len(data)
    lanes: list[int] = list(_LANES_START)
    last_block = (length - 1) // _BLOCK_SIZE * _BLOCK_SIZE
    for block in range(0, last_block, _BLOCK_SIZE):
        _accumulate_block(lanes, data, block, _STRIPES_PER_BLOCK)
        _scramble(lanes)
    _accumulate_block(lanes, data, last_block, (length - 1 - last_block) // _STRIPE.size)
    _accumulate(lanes, _STRIPE.unpack_from(data, length - _STRIPE.size), _LAST_STRIPE_KEY)
    total = length * _PRIME64_1
    for lane in range(0, 8, 2):
        low = lanes[lane] ^ _word(_SECRET, 11 + 8 * lane)
        high = lanes[lane + 1] ^ _word(_SECRET, 19 + 8 * lane)
        total += _folded_product(low, high)
    return _avalanche(total)


def _accumulate_block(lanes: list[int], data: bytes, start: int, stripes: int) -> None:
    for stripe in range(stripes):
        words = _STRIPE.unpack_from(data, start + stripe * _STRIPE.size)
        _accumulate(lanes, words, _STRIPE_KEYS[stripe])


def _accumulate(lanes: list[int], words: tuple[int, ...], key: tuple[int, ...]) -> None:
    for lane, word in enumerate(words):
        keyed = word ^ key[lane]
        lanes[lane ^ 1] = lanes[lane ^ 1] + word & _MASK
        lanes[lane] = lanes[lane] + (keyed & 0xFFFFFFFF) * (keyed >> 32) & _MASK


def _scramble(lanes: list[int]) -> None:
    for lane, value in enumerate(lanes):
        lanes[lane] = (value ^ value >> 47 ^ _SCRAMBLE_KEY[lane]) * _PRIME32_1 & _MASK


def _mixed_16(data: bytes, start: int, key: int) -> int:
    low = _word(data, start) ^ _word(_SECRET, key)
    high = _word(data, start + 8) ^ _word(_SECRET, key + 8)
    return _folded_product(low, high)


def _folded_product(left: int, right: int) -> int:
    """Return the two halves of the 128-bit product, one over the other."""
    product = left * right
    return product & _MASK ^ product >> 64


def _avalanche(value: int) -> int:
    value &= _MASK
    value = (value ^ value >> 37) * _PRIME_MX1 & _MASK
    return value ^ value >> 32


def _xxh64_avalanche(value: int) -> int:
    value = (value ^ value >> 33) * _PRIME64_2 & _MASK
    value = (value ^ value >> 29) * _PRIME64_3 & _MASK
    return value ^ value >> 32


def _rotated_left(value: int, bits: int) -> int:
    return (value << bits | value >> 64 - bits) & _MASK


def _word(data: bytes, start: int) -> int:
    return int.from_bytes(data[start : start + 8], "little")


def _half_word(data: bytes, start: int) -> int:
    return int.from_bytes(data[start : start + 4], "little")

from __future__ import annotations

from starlette_sessions_ext.php.replaced_ids import ReplacedIds


def test_an_id_is_remembered_for_a_moment() -> None:
    ids = ReplacedIds(10)
    ids.add("a", 100.0)
    assert ids.replaced_at("a", 109.9) == 100.0
    assert ids.replaced_at("a", 110.0) is None
    assert ids.replaced_at("b", 100.0) is None


def test_what_was_a_moment_ago_is_forgotten() -> None:
    ids = ReplacedIds(10)
    for now in range(1000):
        ids.add(f"id {now}", now)
    ids.add("id 999", 1000.0)
    assert len(ids._times) <= 11
    ids.add("b", 1009.5)
    assert ids.replaced_at("id 999", 1009.5) == 1000.0

"""Prompts of one client on one image, step by step, so that each can be undone and redone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

__all__ = ["MOST_STEPS", "PromptHistory", "Prompts", "Step"]

MOST_STEPS = 200  # older ones can no longer be undone


@dataclass(frozen=True)
class Prompts:
    """The prompts of a client to a model."""

    model: str
    label: str  # empty where the model takes prompts on all labels together
    params: Mapping[str, Any]  # as they were sent; empty where there are none

    @property
    def key(self) -> tuple[str, str]:
        """Model and label: later prompts of the same take the place of earlier ones."""
        return self.model, self.label

    def content(self) -> dict[str, Any]:
        """Give the content for JSON."""
        return {"model": self.model, "label": self.label, "params": self.params}


@dataclass(frozen=True)
class Step:
    """A change of the prompts on one label."""

    before: Prompts
    after: Prompts
    at: str


@dataclass(frozen=True)
class PromptHistory:
    """Steps in their order, of which the first `done` are in force; the others were undone.

    Args:
        base: prompts before the first step.
        steps: changes since then.
        done: number of steps in force.
    """

    base: tuple[Prompts, ...] = ()
    steps: tuple[Step, ...] = ()
    done: int = 0

    @property
    def prompts(self) -> tuple[Prompts, ...]:
        """The prompts that are in force."""
        return _after(self.base, self.steps[: self.done])

    def recorded(self, prompts: Prompts, at: str) -> PromptHistory:
        """Add a step, unless nothing changes; what was undone before it cannot be redone any more."""
        there = {one.key: one for one in self.prompts}
        before = there.get(prompts.key, replace(prompts, params={}))
        if before.params == prompts.params:
            return self
        steps = (*self.steps[: self.done], Step(before, prompts, at))
        return PromptHistory(self.base, steps, len(steps)).shortened(MOST_STEPS)

    def shortened(self, most: int) -> PromptHistory:
        """Give up the oldest steps beyond a number; the prompts stay as they are."""
        given_up = min(max(0, len(self.steps) - most), self.done)
        base = _after(self.base, self.steps[:given_up])
        return PromptHistory(base, self.steps[given_up:], self.done - given_up)

    def undone(self) -> tuple[PromptHistory, Prompts | None]:
        """Undo the last step in force; give what is in its place now, or None where there is no such step."""
        if not self.done:
            return self, None
        return replace(self, done=self.done - 1), self.steps[self.done - 1].before

    def redone(self) -> tuple[PromptHistory, Prompts | None]:
        """Redo the step that was undone last; give what is in its place now, or None where there is no such step."""
        if self.done == len(self.steps):
            return self, None
        return replace(self, done=self.done + 1), self.steps[self.done].after

    def content(self) -> dict[str, Any]:
        """Give the content for JSON."""
        steps = [{"before": step.before.content(), "after": step.after.content(), "at": step.at} for step in self.steps]
        return {"base": [one.content() for one in self.base], "steps": steps, "done": self.done}

    @classmethod
    def of_content(cls, content: Mapping[str, Any]) -> PromptHistory:
        """Make a history of its `content`."""
        steps = (Step(Prompts(**one["before"]), Prompts(**one["after"]), one["at"]) for one in content["steps"])
        return cls(tuple(Prompts(**one) for one in content["base"]), tuple(steps), content["done"])


def _after(base: Iterable[Prompts], steps: Iterable[Step]) -> tuple[Prompts, ...]:
    prompts = {one.key: one for one in base}
    for step in steps:
        prompts.pop(step.after.key, None)  # what was changed last is last
        prompts[step.after.key] = step.after
    return tuple(one for one in prompts.values() if one.params)

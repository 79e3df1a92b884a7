"""A frozen teacher stays as it is, whatever happens around it."""

from collections.abc import Callable

import torch
from torch import nn

from kdflow.teachers.frozen import Frozen

IMAGES = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_train_called_on_it_or_above_it_leaves_it_in_eval_mode(teacher: Frozen) -> None:
    parent = nn.ModuleDict({"teacher": teacher, "student": nn.Dropout()})
    parent.eval().train()
    teacher.train()
    assert parent["student"].training
    assert not any(module.training for module in teacher.modules())


def test_two_forwards_agree_bit_for_bit_though_it_has_dropout_and_statistics(teacher: Frozen) -> None:
    state = {name: value.clone() for name, value in teacher.state_dict().items()}
    teacher.train()
    assert any(isinstance(module, nn.Dropout) and module.p > 0 for module in teacher.modules())
    assert torch.equal(teacher(IMAGES), teacher(IMAGES))
    assert all(torch.equal(value, state[name]) for name, value in teacher.state_dict().items())


def test_no_gradient_reaches_it(teacher: Frozen) -> None:
    images = IMAGES.clone().requires_grad_()
    teacher(images).sum().backward()
    assert images.grad is not None
    assert not any(weight.requires_grad or weight.grad is not None for weight in teacher.parameters())


def test_it_computes_what_the_model_computes(tiny: Callable[..., nn.Module]) -> None:
    model = tiny(0, dropout=0.5)
    expected = model.eval()(IMAGES)
    assert torch.equal(Frozen(model.train())(IMAGES), expected)

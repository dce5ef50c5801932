# Copyright (c) monai_al contributors
# SPDX-License-Identifier: Apache-2.0
"""The contrastive losses beside term-by-term loops in float64, values by hand, and what they must not do."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.data import MetaTensor
from monai.losses import ContrastiveLoss
from torch.utils._python_dispatch import TorchDispatchMode

from monai_al.losses import (
    GroupContrastiveLoss,
    MetricLearningLoss,
    NTXentLoss,
    _contrastive,
    group_contrastive,
    metric_learning,
)

TEMPERATURES = [0.01, 0.1, 0.5, 3.0]


# -- references --------------------------------------------------------------------------------------------------------


def cosine(x, y):
    return (x @ y) / (x.norm() * y.norm())


def nt_xent_by_loops(view_a, view_b, temperature):
    n, views = len(view_a), [*view_a, *view_b]
    total = 0.0
    for v in range(2 * n):
        terms = {k: torch.exp(cosine(views[v], views[k]) / temperature) for k in range(2 * n) if k != v}
        total = total - torch.log(terms[(v + n) % (2 * n)] / sum(terms.values()))
    return total / (2 * n)


def group_by_loops(view_a, view_b, groups, patients, temperature, *, mean_of_pairs=False):
    n, views = len(view_a), [*view_a, *view_b]
    g, p = 2 * groups.tolist(), 2 * patients.tolist()
    total, pairs = 0.0, 0
    for i in range(n):
        kept = [k for k in range(2 * n) if k != i and (g[k] == g[i] or p[k] != p[i])]
        z = sum(torch.exp(cosine(views[i], views[k]) / temperature) for k in kept)
        for j in range(n, 2 * n):
            if g[j] == g[i]:
                total = total - torch.log(torch.exp(cosine(views[i], views[j]) / temperature) / z)
                pairs += 1
    return total / pairs if mean_of_pairs else total / (n * (n / len(set(g))))


def metric_by_loops(view_a, view_b, groups, weights, temperature, *, two_sided=False):
    total = weights[0] * nt_xent_by_loops(view_a, view_b, temperature)
    for weight, column in zip(weights[1:], groups.T, strict=True):
        found = group_by_loops(view_a, view_b, column, groups[:, 0], temperature)
        if two_sided:
            found = (found + group_by_loops(view_b, view_a, column, groups[:, 0], temperature)) / 2
        total = total + weight * found
    return total


# -- batches -----------------------------------------------------------------------------------------------------------


def batch(n, dimensions=5, *, seed=0, patients=3, dtype=torch.float64):
    """Two views and the ids of patient, volume and slice group of random slices; ids have gaps and any order."""
    generator = torch.Generator().manual_seed(seed)
    views = [torch.randn(n, dimensions, generator=generator, dtype=torch.float64).to(dtype) for _ in range(2)]
    ids = [torch.randint(0, patients, (n,), generator=generator)]
    for _ in range(2):
        ids.append(3 * ids[-1] + torch.randint(0, 3, (n,), generator=generator))
    names = [torch.randperm(100, generator=generator) - 50 for _ in ids]
    return *views, torch.stack([name[each] for name, each in zip(names, ids, strict=True)], 1)


def four(values):
    return torch.tensor([[math.cos(math.radians(v)), math.sin(math.radians(v))] for v in values], dtype=torch.float64)


FOUR = four([0, 20, 50, 200]), four([10, 35, 40, 220])
FOUR_PATIENTS, FOUR_VOLUMES = torch.tensor([0, 0, 0, 1]), torch.tensor([0, 0, 1, 2])

ALL = (1.0, 0.3, 0.7, 0.2)
LOSSES = {
    "nt_xent": lambda a, b, ids, temperature: NTXentLoss(temperature)(a, b),
    "patient": lambda a, b, ids, temperature: GroupContrastiveLoss(temperature)(a, b, ids[:, 0], ids[:, 0]),
    "volume": lambda a, b, ids, temperature: GroupContrastiveLoss(temperature)(a, b, ids[:, 1], ids[:, 0]),
    "both sides": lambda a, b, ids, temperature: GroupContrastiveLoss(temperature, two_sided=True)(
        a, b, ids[:, 1], ids[:, 0]
    ),
    "all": lambda a, b, ids, temperature: MetricLearningLoss(*ALL, temperature)(torch.cat([a, b]), ids),
    "all, both sides": lambda a, b, ids, temperature: MetricLearningLoss(*ALL, temperature, two_sided=True)(
        torch.cat([a, b]), ids
    ),
}
BY_LOOPS = {
    "nt_xent": lambda a, b, ids, temperature: nt_xent_by_loops(a, b, temperature),
    "patient": lambda a, b, ids, temperature: group_by_loops(a, b, ids[:, 0], ids[:, 0], temperature),
    "volume": lambda a, b, ids, temperature: group_by_loops(a, b, ids[:, 1], ids[:, 0], temperature),
    "both sides": lambda a, b, ids, temperature: (
        (BY_LOOPS["volume"](a, b, ids, temperature) + BY_LOOPS["volume"](b, a, ids, temperature)) / 2
    ),
    "all": lambda a, b, ids, temperature: metric_by_loops(a, b, ids, ALL, temperature),
    "all, both sides": lambda a, b, ids, temperature: metric_by_loops(a, b, ids, ALL, temperature, two_sided=True),
}
each_loss = pytest.mark.parametrize("name", LOSSES)


def with_gradients(loss, view_a, view_b, *rest):
    """The loss and its gradients in both views."""
    views = [view.detach().clone().requires_grad_() for view in (view_a, view_b)]
    found = loss(*views, *rest)
    return found, *torch.autograd.grad(found, views, allow_unused=True)


# -- equality ----------------------------------------------------------------------------------------------------------


@each_loss
@given(st.integers(1, 7), st.integers(1, 6), st.integers(1, 4), st.sampled_from(TEMPERATURES), st.integers(0, 10_000))
@settings(deadline=None, max_examples=25)
def test_equals_loops(name, n, dimensions, patients, temperature, seed):
    given = *batch(n, dimensions, seed=seed, patients=patients), temperature
    expected = BY_LOOPS[name](*given)
    assert LOSSES[name](*given).item() == pytest.approx(expected.item(), rel=1e-9, abs=1e-9)
    if temperature >= 0.5:
        single = [each.float() for each in given[:2]]
        assert LOSSES[name](*single, *given[2:]).item() == pytest.approx(expected.item(), rel=1e-6, abs=1e-6)


@each_loss
@pytest.mark.parametrize("temperature", TEMPERATURES)
@pytest.mark.parametrize(("n", "dimensions"), [(1, 3), (2, 2), (6, 4)])
def test_gradients_equal_those_of_loops(name, temperature, n, dimensions):
    given = *batch(n, dimensions, seed=n), temperature
    for ours, theirs in zip(with_gradients(LOSSES[name], *given), with_gradients(BY_LOOPS[name], *given), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-9)
    a, b, ids = (each.requires_grad_(each.is_floating_point()) for each in given[:3])
    if temperature > 0.01:  # finite differences are too coarse there
        assert torch.autograd.gradcheck(lambda x, y: LOSSES[name](x, y, ids, temperature), (a, b))


def test_values_by_hand():
    patient = GroupContrastiveLoss()(*FOUR, FOUR_PATIENTS, FOUR_PATIENTS).item()
    volume = GroupContrastiveLoss()(*FOUR, FOUR_VOLUMES, FOUR_PATIENTS).item()
    assert [patient, volume, NTXentLoss()(*FOUR).item()] == pytest.approx([1.780120, 0.873054, 1.131929], abs=1e-6)
    slices = torch.arange(4)
    ids = torch.stack([FOUR_PATIENTS, FOUR_VOLUMES, slices], 1)
    found = MetricLearningLoss()(torch.cat(FOUR), ids).item()  # the paper's weights
    assert found == pytest.approx(1.131929 + 0.05 * 1.780120 + 0.35 * 0.873054, abs=2e-6)


@pytest.mark.parametrize(("groups", "mean"), [(FOUR_PATIENTS, 1.424096), (FOUR_VOLUMES, 0.776048)])
def test_the_mean_over_positive_pairs_is_another_number(groups, mean):
    ours = GroupContrastiveLoss()(*FOUR, groups, FOUR_PATIENTS).item()
    assert group_by_loops(*FOUR, groups, FOUR_PATIENTS, 0.5, mean_of_pairs=True).item() == pytest.approx(mean, abs=1e-6)
    pairs, mean_size = sum((groups == each).sum().item() ** 2 for each in groups.unique()), 4 / len(groups.unique())
    assert ours == pytest.approx(mean * pairs / (4 * mean_size), abs=1e-5)
    assert abs(ours - mean) > 0.09


def test_the_mean_over_positive_pairs_is_the_same_for_groups_of_one_size():
    view_a, view_b, _ = batch(6)
    groups, patients = torch.tensor([4, 7, 9, 7, 4, 9]), torch.tensor([0, 1, 0, 1, 0, 0])
    expected = group_by_loops(view_a, view_b, groups, patients, 0.5, mean_of_pairs=True)
    torch.testing.assert_close(GroupContrastiveLoss()(view_a, view_b, groups, patients), expected)


@pytest.mark.parametrize("n", [1, 2, 9])
@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_nt_xent_equals_monai(n, temperature):
    view_a, view_b, _ = batch(n)
    torch.testing.assert_close(NTXentLoss(temperature)(view_a, view_b), ContrastiveLoss(temperature)(view_a, view_b))


def test_nt_xent_stays_finite_where_monai_does_not():
    view_a, view_b = torch.eye(2), torch.eye(2)
    assert not ContrastiveLoss(temperature=0.01)(view_a, view_b).isfinite()
    assert NTXentLoss(temperature=0.01)(view_a, view_b).item() == 0


def test_a_group_loss_of_slices_alone_counts_other_patients_and_the_own_augmentation():
    view_a, view_b, _ = batch(5)
    patients = torch.tensor([0, 0, 1, 2, 2])
    found = GroupContrastiveLoss()(view_a, view_b, torch.arange(5), patients)
    a, b = (torch.nn.functional.normalize(view) for view in (view_a, view_b))
    total = 0.0
    for i in range(5):
        other = patients != patients[i]
        z = sum(((a[i] @ each.T)[other] * 2).exp().sum() for each in (a, b)) + (a[i] @ b[i] * 2).exp()
        total += z.log() - a[i] @ b[i] * 2
    torch.testing.assert_close(found, total / 5)


# -- what changes the loss and what does not ---------------------------------------------------------------------------


def test_patient_volume_and_slice_losses_differ():
    view_a, view_b, _ = batch(8)
    patients = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    volumes = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])  # two volumes per patient
    slices = torch.tensor([0, 0, 1, 2, 3, 3, 4, 5])
    found = [GroupContrastiveLoss()(view_a, view_b, each, patients).item() for each in (patients, volumes, slices)]
    assert min(abs(x - y) for x, y in itertools.combinations(found, 2)) > 0.05


@given(st.integers(0, 1000), st.integers(2, 9))
@settings(deadline=None, max_examples=20)
def test_order_length_and_names_do_not_count(seed, n):
    view_a, view_b, ids = batch(n, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(n, generator=generator)
    lengths = torch.rand(2, n, 1, generator=generator, dtype=torch.float64) * 1000 + 0.001
    names = torch.randperm(101, generator=generator) * 2**40
    for loss in LOSSES.values():
        expected = loss(view_a, view_b, ids, 0.5)
        torch.testing.assert_close(loss(view_a[order], view_b[order], ids[order], 0.5), expected)
        torch.testing.assert_close(loss(view_a * lengths[0], view_b * lengths[1], ids, 0.5), expected)
        torch.testing.assert_close(loss(view_a, view_b, names[ids + 50], 0.5), expected)


@each_loss
def test_two_sided_losses_are_symmetric_and_the_others_not(name):
    view_a, view_b, ids = batch(7)
    forth, back = LOSSES[name](view_a, view_b, ids, 0.5), LOSSES[name](view_b, view_a, ids, 0.5)
    if name in ("nt_xent", "both sides", "all, both sides"):
        torch.testing.assert_close(forth, back)
    else:
        assert abs(forth - back) > 1e-3


def test_views_of_the_same_patient_but_another_group_have_no_influence():
    view_a, view_b, _ = batch(4)
    patients = torch.zeros(4, dtype=torch.int64)
    gradients = []
    for view in (view_a, torch.cat([view_a[:2], -view_a[2:]])):
        _, of_a, of_b = with_gradients(GroupContrastiveLoss(), view, view_b, torch.tensor([0, 0, 1, 1]), patients)
        gradients.append(torch.cat([of_a[:2], of_b[:2]]))
    torch.testing.assert_close(*gradients)


@given(st.integers(0, 1000))
@settings(deadline=None, max_examples=20)
def test_the_loss_sinks_along_its_gradient(seed):
    view_a, view_b, ids = batch(6, seed=seed)
    for loss in LOSSES.values():
        before, *gradients = with_gradients(loss, view_a, view_b, ids, 0.5)
        views = [v - 1e-4 * g for v, g in zip((view_a, view_b), gradients, strict=True)]
        assert loss(*views, ids, 0.5) < before


@pytest.mark.parametrize("at", range(4))
@pytest.mark.parametrize("two_sided", [False, True])
def test_a_single_weight_gives_the_loss_of_that_name(at, two_sided):
    view_a, view_b, ids = batch(7)
    weights = [0.0] * 4
    weights[at] = 1.0
    found = MetricLearningLoss(*weights, temperature=0.2, two_sided=two_sided)(torch.cat([view_a, view_b]), ids)
    if at == 0:
        expected = NTXentLoss(0.2)(view_a, view_b)
    else:
        expected = GroupContrastiveLoss(0.2, two_sided)(view_a, view_b, ids[:, at - 1], ids[:, 0])
    torch.testing.assert_close(found, expected)


# -- precision, degenerate batches -------------------------------------------------------------------------------------


def assert_finite(found):
    assert all(each is None or torch.isfinite(each).all() for each in found)


@each_loss
@pytest.mark.parametrize("case", ["random", "zeros", "a zero row", "identical", "opposite", "tiny", "huge"])
def test_loss_and_gradients_are_finite(name, case):
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        view_a, view_b, ids = batch(6, dtype=dtype)
        if case == "zeros":
            view_a, view_b = torch.zeros_like(view_a), torch.zeros_like(view_b)
        elif case == "a zero row":
            view_a[2], view_b[4] = 0, 0
        elif case == "identical":
            view_a[:], view_b[:] = view_a[0], view_a[0]
        elif case == "opposite":
            view_a[:], view_b[:] = view_a[0], -view_a[0]
        elif case in ("tiny", "huge"):
            powers = (-2, 3) if dtype == torch.float16 else (-12, 12)
            factor = 10.0 ** powers[case == "huge"]
            view_a, view_b = view_a * factor, view_b * factor
        for temperature in (0.01, 0.5):
            assert_finite(with_gradients(LOSSES[name], view_a, view_b, ids, temperature))


@pytest.mark.parametrize("name", ["nt_xent", "patient", "both sides", "all"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("chunk", [None, 20])
def test_autocast_does_not_change_the_precision(name, dtype, chunk, monkeypatch):
    if chunk:
        monkeypatch.setattr(_contrastive, "CHUNK", chunk)
    view_a, view_b, ids = batch(6, 16, dtype=torch.float32)
    expected = with_gradients(LOSSES[name], view_a, view_b, ids, 0.01)
    with torch.autocast("cpu", dtype=dtype):
        leaves = [view.clone().requires_grad_() for view in (view_a, view_b)]
        found = LOSSES[name](*leaves, ids, 0.01)
    gradients = torch.autograd.grad(found, leaves)
    for ours, theirs in zip((found, *gradients), expected, strict=True):
        assert torch.equal(ours, theirs)


@each_loss
def test_half_precision_is_that_of_the_embeddings_alone(name):
    view_a, view_b, ids = batch(6, dtype=torch.float16)
    found = LOSSES[name](view_a, view_b, ids, 0.01)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, LOSSES[name](view_a.float(), view_b.float(), ids, 0.01))


def test_a_row_of_zeros_is_similar_to_nothing():
    view_a, view_b = torch.eye(2), torch.tensor([[0.0, 0.0], [0.0, 1.0]])
    expected = (2 * math.log(3) + 2 * math.log(math.exp(2) + 2) - 2 * 2) / 4
    assert NTXentLoss()(view_a, view_b).item() == pytest.approx(expected, abs=1e-6)


@each_loss
@pytest.mark.parametrize("row", [[1.0, 2.0], [0.0, 0.0]])
def test_one_slice_alone_costs_nothing_and_has_a_graph(name, row):
    views, ids = torch.tensor([row]), torch.tensor([[5, 7, 9]])
    found = with_gradients(LOSSES[name], views, -views, ids, 0.5)
    assert [each.tolist() for each in found] == [0.0, [[0.0, 0.0]], [[0.0, 0.0]]]


@each_loss
@pytest.mark.parametrize("view", [0, 1])
def test_nan_comes_out(name, view):
    *views, ids = batch(4)
    views[view][2, 1] = float("nan")
    assert LOSSES[name](*views, ids, 0.5).isnan()


@each_loss
def test_metadata_and_types_of_ids_do_not_count(name):
    view_a, view_b, ids = batch(6, dtype=torch.float32)
    expected = LOSSES[name](view_a, view_b, ids, 0.5)
    ids -= ids.min()
    for other in (MetaTensor(ids), ids.to(torch.int32), ids.to(torch.uint8)):
        found = LOSSES[name](MetaTensor(view_a), MetaTensor(view_b), other, 0.5)
        assert torch.equal(found, expected)


# -- memory ------------------------------------------------------------------------------------------------------------


class Recorder(TorchDispatchMode):
    """Records the largest tensor that any operation gives back, the products of matrices, and the names of all."""

    def __init__(self):
        super().__init__()
        self.numel, self.products, self.names = 0, 0, set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        found = function(*args, **(kwargs or {}))
        if isinstance(found, torch.Tensor):
            self.numel = max(self.numel, found.numel())
        self.products += function is torch.ops.aten.mm.default
        self.names.add(function.overloadpacket.__name__)
        return found


@each_loss
@pytest.mark.parametrize("n", [1, 2, 5, 9])
@pytest.mark.parametrize("chunk", [1, 20, 50, 100])
def test_chunks_change_nothing(name, n, chunk, monkeypatch):
    given = *batch(n), 0.1
    expected = with_gradients(LOSSES[name], *given)
    monkeypatch.setattr(_contrastive, "CHUNK", chunk)
    for ours, theirs in zip(with_gradients(LOSSES[name], *given), expected, strict=True):
        torch.testing.assert_close(ours, theirs)


@each_loss
def test_chunks_bound_the_tensors_and_what_is_kept(name, monkeypatch):
    n, d = 64, 4
    view_a, view_b, ids = batch(n, d)
    monkeypatch.setattr(_contrastive, "CHUNK", 4 * 2 * n)
    kept = []
    with (
        Recorder() as largest,
        torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.numel()) or x, lambda x: x),
    ):
        with_gradients(LOSSES[name], view_a, view_b, ids, 0.5)
    assert largest.numel == 2 * n * max(4, d)
    assert sum(kept) < 10 * 2 * n * d  # one float for each pair would be 16


@pytest.mark.parametrize("two_sided", [False, True])
def test_terms_share_the_similarities(two_sided):
    view_a, view_b, ids = batch(16)
    products = []
    for weights in ((1, 0, 0, 0), (1, 1, 1, 1)):
        with Recorder() as largest:
            MetricLearningLoss(*weights, two_sided=two_sided)(torch.cat([view_a, view_b]), ids)
        products.append(largest.products)
        assert largest.numel == 16 * 32
    assert products == [2, 2]
    with Recorder() as largest:
        MetricLearningLoss(0, 1, 1, 1)(torch.cat([view_a, view_b]), ids)
    assert largest.products == 1


@each_loss
def test_nothing_waits_for_values(name, monkeypatch):
    """A GPU runs ahead as long as no number is read and no shape depends on one; the check of ids is for the CPU."""
    for module in (group_contrastive, metric_learning):
        monkeypatch.setattr(module, "check_groups", lambda *given: None)
    given = batch(6)
    with Recorder() as recorded:
        with_gradients(LOSSES[name], *given, 0.5)
    assert "mm" in recorded.names
    assert not recorded.names & {"_local_scalar_dense", "nonzero", "_unique2", "unique_dim", "masked_select", "index"}


@each_loss
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu(name, monkeypatch):
    given = batch(40)
    expected = with_gradients(LOSSES[name], *given, 0.1)
    moved = [each.cuda() for each in given]
    for chunk in (_contrastive.CHUNK, 500):
        monkeypatch.setattr(_contrastive, "CHUNK", chunk)
        torch.cuda.set_sync_debug_mode("error")
        try:
            found = with_gradients(LOSSES[name], *moved, 0.1)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        for ours, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(ours.cpu(), theirs)


@pytest.mark.nightly  # the tests above count the numbers that are kept
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
def test_memory_of_a_large_batch():
    script = """
        import torch
        from monai_al.losses import GroupContrastiveLoss

        def kib(name):
            with open("/proc/self/status") as lines:
                return next(int(line.split()[1]) for line in lines if line.startswith(name))

        def step(n):
            views = (torch.randn(n, 64, requires_grad=True) for _ in range(2))
            GroupContrastiveLoss()(*views, torch.arange(n) // 3, torch.arange(n) // 9).backward()

        torch.set_num_threads(1)
        step(8)
        before = kib("VmRSS")
        step(4096)
        print(kib("VmHWM") - before)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 2 * 2**20


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0, -0.5, float("nan"), float("inf")])
@pytest.mark.parametrize("loss_class", [NTXentLoss, GroupContrastiveLoss, MetricLearningLoss])
def test_wrong_temperature(loss_class, temperature):
    with pytest.raises(ValueError, match="temperature must be above 0"):
        loss_class(temperature=temperature)


@pytest.mark.parametrize("shapes", [((4, 3), (3, 3)), ((4, 3), (4, 2)), ((4,), (4,)), ((0, 3), (0, 3)), ((4, 0),) * 2])
def test_wrong_shapes_of_views(shapes):
    views, ids = [torch.zeros(shape) for shape in shapes], torch.zeros(shapes[0][0], dtype=torch.int64)
    with pytest.raises(ValueError, match=r"both views must have the shape \(N, D\)"):
        NTXentLoss()(*views)
    with pytest.raises(ValueError, match=r"both views must have the shape \(N, D\)"):
        GroupContrastiveLoss()(*views, ids, ids)


@pytest.mark.parametrize("shape", [(5, 3), (4,), (4, 3, 2)])
def test_wrong_shapes_of_projections(shape):
    with pytest.raises(ValueError, match=r"projections must have the shape \(2N, D\)"):
        MetricLearningLoss()(torch.zeros(shape), torch.zeros(2, 3, dtype=torch.int64))


def test_no_projections():
    with pytest.raises(ValueError, match="at least one slice"):
        MetricLearningLoss()(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64))


def test_integer_embeddings():
    with pytest.raises(ValueError, match="must be floating point, got torch.int64"):
        NTXentLoss()(torch.ones(2, 2), torch.ones(2, 2, dtype=torch.int64))


@pytest.mark.parametrize(
    "ids",
    [
        torch.zeros(4),
        torch.zeros(4, dtype=torch.bool),
        torch.zeros(3, dtype=torch.int64),
        torch.zeros(4, 1, dtype=torch.int64),
    ],
)
@pytest.mark.parametrize("which", ["groups", "patients"])
def test_wrong_ids(ids, which):
    given = {"groups": torch.zeros(4, dtype=torch.int64), "patients": torch.zeros(4, dtype=torch.int64), which: ids}
    with pytest.raises(ValueError, match=rf"{which} must be integer ids of shape \(4,\)"):
        GroupContrastiveLoss()(torch.ones(4, 2), torch.ones(4, 2), **given)


@pytest.mark.parametrize(
    "ids", [torch.zeros(4, 3), torch.zeros(4, 2, dtype=torch.int64), torch.zeros(8, 3, dtype=torch.int64)]
)
def test_wrong_ids_of_the_total(ids):
    with pytest.raises(ValueError, match=r"groups must be integer ids of shape \(4, 3\)"):
        MetricLearningLoss()(torch.ones(8, 2), ids)


def test_a_group_of_two_patients():
    volumes, patients = torch.tensor([5, 7, 5, 7]), torch.tensor([1, 2, 1, 3])
    with pytest.raises(
        ValueError, match="group 7 holds slices of the patients 2 and 3: a group belongs to one patient"
    ):
        GroupContrastiveLoss()(torch.ones(4, 2), torch.ones(4, 2), volumes, patients)
    ids = torch.stack([patients, volumes, torch.arange(4)], 1)
    with pytest.raises(ValueError, match="volume group 7 holds slices of the patients 2 and 3"):
        MetricLearningLoss()(torch.ones(8, 2), ids)
    MetricLearningLoss(volume=0)(torch.ones(8, 2), ids)  # a group without weight is not looked at


@pytest.mark.parametrize("name", ["nt_xent", "patient", "volume", "slice"])
@pytest.mark.parametrize("weight", [-0.1, float("nan"), float("inf")])
def test_wrong_weights(name, weight):
    with pytest.raises(ValueError, match=f"{name} must be a weight of at least 0, got"):
        MetricLearningLoss(**{name: weight})


def test_no_weight_at_all():
    with pytest.raises(ValueError, match="at least one weight must be above 0: nt_xent, patient, volume, slice"):
        MetricLearningLoss(0, 0, 0, 0)

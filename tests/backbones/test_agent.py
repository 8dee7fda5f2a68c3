import pytest
import refkit
import torch
from torch import nn

from denseformer.attention.agent import agent_attention
from denseformer.backbones import AgentPVT, AgentSwin


@pytest.mark.parametrize(
    ('cls', 'arch', 'millions'),
    [
        (AgentSwin, 'tiny', 28.14),
        (AgentSwin, 'small', 48.90),
        (AgentSwin, 'base', 87.07),
        (AgentPVT, 'tiny', 11.06),
        (AgentPVT, 'small', 20.12),
        (AgentPVT, 'medium', 35.41),
        (AgentPVT, 'large', 48.23),
    ],
)
def test_variants_have_the_published_number_of_parameters(cls, arch, millions):
    assert cls.describe(arch).parameters / 1e6 == pytest.approx(millions, abs=0.01)


def test_a_stage_may_mix_agent_and_window_blocks():
    arch = {'width': 32, 'depths': (1, 1, 4, 1), 'heads': (1, 2, 4, 8), 'agent_blocks': (1, 1, 2, 0)}
    assert refkit.check(AgentSwin(arch=arch), 'agent_swin/probe_AAMB2') < 1e-4


def test_agents_hand_on_what_they_collect():
    q, k, v, agents = (torch.randn(2, 3, n, 4) for n in (20, 20, 20, 5))
    collect, ask = torch.randn(3, 5, 20), torch.randn(3, 20, 5)
    collected = (agents @ k.mT / 2 + collect).softmax(-1) @ v
    expected = (q @ agents.mT / 2 + ask).softmax(-1) @ collected
    torch.testing.assert_close(agent_attention(q, k, v, agents, collect, ask), expected)


def test_biases_of_both_steps_are_the_same_function_of_agent_and_position():
    attn = AgentSwin(arch='tiny').stages[1].blocks[0].attn
    attn.ask_bias.load_state_dict(attn.collect_bias.state_dict())
    collect, ask = attn.collect_bias((10, 13), (6, 5)), attn.ask_bias((10, 13), (6, 5))
    assert collect.shape == (6, 30, 130)
    torch.testing.assert_close(collect, ask.mT)


def test_biases_are_interpolated_over_positions_and_over_agents():
    bias = AgentSwin(arch='tiny').stages[0].blocks[0].attn.collect_bias
    with torch.no_grad():
        bias.table.zero_(), bias.columns.zero_()
        bias.rows.copy_(torch.arange(56.0))
        grown = bias((112, 8), (9, 9)).view(3, 81, 112, 8)
        assert torch.allclose(grown, grown[:1, :1, :, :1].expand_as(grown), atol=1e-4)
        torch.testing.assert_close(grown[0, 0, 1:3, 0], torch.tensor([0.25, 0.75]))
        bias.rows.copy_(torch.arange(9.0)[:, None].expand(9, 56))
        of_agents = bias((8, 8), (9, 9))[0, :, 0].view(9, 9)
    torch.testing.assert_close(of_agents[4], torch.tensor([0, 0, 1, 2, 3, 4, 5, 6, 6]) / 3 + 3)
    torch.testing.assert_close(of_agents[:, 4], torch.tensor([0, 0, 1, 2, 3, 4, 5, 6, 6]) + 1.0)


@pytest.mark.parametrize('cls', [AgentSwin, AgentPVT])
def test_the_number_of_agents_is_no_matter_of_the_checkpoint(cls):
    source, network = cls(arch='tiny'), cls(arch='tiny', agents=(3, 4, 7, 7))
    assert not network.load_state_dict(source.state_dict()).missing_keys
    with pytest.raises(ValueError, match='agents needs 4'):
        cls(arch='tiny', agents=(3, 4))


@pytest.mark.parametrize('cls', [AgentSwin, AgentPVT])
def test_checkpoints_of_another_image_size_are_interpolated(cls):
    source, network = cls(arch='tiny', image_size=384), cls(arch='tiny')
    source.stages[1].blocks[0].attn.ask_bias.rows = nn.Parameter(torch.full((source.arch.heads[1], 16, 48), 3.0))
    left = network.load_state_dict(source.state_dict())
    assert not left.missing_keys
    rows = network.stages[1].blocks[0].attn.ask_bias.rows
    torch.testing.assert_close(rows.detach(), torch.full((source.arch.heads[1], 16, 28), 3.0))


def test_pvt_adds_interpolated_positions_where_a_later_map_has_as_many_tokens_as_the_first_of_pretraining():
    network = AgentPVT(arch='tiny', out_indices=(0, 1)).eval()
    with torch.no_grad():
        assert network(torch.randn(1, 3, 448, 448))[1].shape == (1, 128, 56, 56)


def test_recipe_decays_no_bias_table_of_agent_swin_but_its_projections():
    roles = AgentSwin(arch='tiny').param_groups()
    assert not roles['stages.0.blocks.0.attn.collect_bias.rows'].decay
    assert not roles['stages.3.blocks.0.attn.bias.table'].decay
    assert roles['stages.0.blocks.0.attn.qkv.bias'].decay

"""A network in three stages, each of which can be trained alone with a head of its own.

Input ``[batch, 3, row, column]`` of any size from 16 pixels, normalised; output ``[batch, class]``
logits. Stage 1: convolution 32; stage 2: convolution 64; stage 3: the classifier. Trained greedily,
stage by stage, after Belilovsky, Eickenberg and Oyallon, arXiv 1812.11446.
"""

from __future__ import annotations

from torch import Tensor, nn

STAGES = 3


class HierarchicalCNN(nn.Module):
    """``active`` is the stage whose head answers, 1 to 3; 3 is the whole network."""

    def __init__(self, classes: int = 10) -> None:
        super().__init__()
        self.active = STAGES
        self._still: tuple[nn.Module, ...] = ()
        self.stage1 = _stage(3, 32)
        self.stage2 = _stage(32, 64)
        self.stage3 = nn.Sequential(
            nn.AdaptiveAvgPool2d(7),
            nn.Flatten(),
            nn.Linear(64 * 7 * 7, 128),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(128, classes),
        )
        self.head1 = _head(32, classes)
        self.head2 = _head(64, classes)

    def forward(self, pictures: Tensor) -> Tensor:
        features = self.stage1(pictures)
        if self.active > 1:
            features = self.stage2(features)
        last = {1: self.head1, 2: self.head2, 3: self.stage3}[self.active]
        logits: Tensor = last(features)
        return logits

    def train_stage(self, stage: int) -> None:
        """Let only one stage and its head learn, or with 0 all three and the last head."""
        learning = {
            0: (self.stage1, self.stage2, self.stage3),
            1: (self.stage1, self.head1),
            2: (self.stage2, self.head2),
            3: (self.stage3,),
        }[stage]
        self.active = stage or STAGES
        self._still = tuple(part for part in self.children() if part not in learning)
        self.requires_grad_(False)
        for part in learning:
            part.requires_grad_(True)
        self.train(self.training)

    def train(self, mode: bool = True) -> HierarchicalCNN:
        """Like any module's; the stages that stand still go on normalising as they learned to."""
        super().train(mode)
        for part in self._still:
            part.eval()
        return self


def build(classes: int = 10) -> nn.Module:
    """The network with random weights."""
    return HierarchicalCNN(classes)


def _stage(channels: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, width, kernel_size=3, padding=1),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.MaxPool2d(2),
    )


def _head(channels: int, classes: int) -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(channels * 16, classes))


def stage_of(epoch: int, epochs: int) -> int:
    """The stage that an epoch (from 1) trains: the epochs are shared out evenly, and the last
    stage gets what is left over.
    """
    return min(STAGES, 1 + (epoch - 1) // max(epochs // STAGES, 1))

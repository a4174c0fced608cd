<?php
$color = 'lightblue';

// Behind a load balancer an old copy of the page would hide a release.
header('Cache-Control: no-store');
header_remove('X-Powered-By');

function html(string $text): string
{
    return htmlspecialchars($text, ENT_QUOTES | ENT_SUBSTITUTE, 'UTF-8');
}

$facts = [
    'Host' => gethostname() ?: 'unknown',
    'Image tag' => getenv('IMAGE_TAG') ?: 'none',
    'Time' => gmdate('Y-m-d H:i:s') . ' UTC',
];
?>
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>slipway: <?= html($facts['Image tag']) ?></title>
<link rel="icon" href="data:,">
<style>
  body { margin: 0; min-height: 100vh; display: grid; place-items: center;
         background: <?= html($color) ?>; font: 1.1rem/1.5 system-ui, sans-serif; }
  /* A card of its own keeps the text readable on any background colour. */
  main { margin: 1rem; padding: 1.5rem 2.5rem; border-radius: .75rem;
         background: #fff; color: #1b1f24; box-shadow: 0 .5rem 2rem rgb(0 0 0 / .2); }
  h1 { margin: 0 0 1rem; font-size: 1.5rem; }
  dl { margin: 0; display: grid; grid-template-columns: auto 1fr; gap: .25rem 1.5rem; }
  dt { color: #57606a; }
  dd { margin: 0; font-family: ui-monospace, monospace; overflow-wrap: anywhere; }
</style>
</head>
<body>
<main>
<h1>It is afloat</h1>
<dl>
<?php foreach ($facts as $name => $value): ?>
<dt><?= html($name) ?></dt><dd><?= html($value) ?></dd>
<?php endforeach ?>
</dl>
</main>
</body>
</html>

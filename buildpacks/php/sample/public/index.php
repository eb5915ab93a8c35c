<?php
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
?>
<!doctype html>
<title>PHP</title>
<h1>Hello from PHP</h1>
<p>You asked for <?= htmlspecialchars($path) ?>; every path comes here.</p>
